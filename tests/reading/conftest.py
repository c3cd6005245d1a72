"""What tests of readers begin with."""

from pathlib import Path

import pytest

from helpers.sources import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text, or bytes, to a new file and return its path."""

    def write(content: str | bytes, name: str = "ratings.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
