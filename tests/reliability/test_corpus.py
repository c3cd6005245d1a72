"""Files that once made a reader fall, stand still or take what is no data, or nearly did: replayed, each alone.

`tests/corpus/` holds them, named after what is wrong. None is anybody's data: all were made of the built-in sample.
"""

import faulthandler
from pathlib import Path

import pytest

from fractalrs.errors import InputError
from fractalrs.reading import read_interactions
from helpers.mutations import CORPUS

READ = {
    # What follows the quote is in the cell that it is in.
    "open-quote.csv": 200,
    "carriage-returns.csv": 200,
    # Ids may be any text.
    "long-number.csv": 2,
    "keys-twice.json": 3,
    "types-missing.inter": 1,
    # Nothing is made as large as it says.
    "shape-overflows.mtx": 1,
    "size-lies.zip": 200,
}
"""Those that are read, and how many interactions they have."""


def test_the_corpus_is_small_and_has_every_kind() -> None:
    files = sorted(CORPUS.iterdir())
    assert sum(file.stat().st_size for file in files) < 300_000
    assert len(files) > 50
    assert set(READ) <= {file.name for file in files}


@pytest.mark.parametrize("file", sorted(CORPUS.iterdir()), ids=lambda file: file.name)
def test_it_is_read_or_refused_by_name(file: Path) -> None:
    faulthandler.dump_traceback_later(60, exit=True)
    try:
        if file.name in READ:
            assert len(read_interactions(file)) == READ[file.name]
            return
        with pytest.raises(InputError) as caught:
            read_interactions(file)
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert file.name in caught.value.message
    assert caught.value.hint
