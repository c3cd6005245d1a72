"""Are the files those of the manifest: there, of their size, with their rows and columns, unchanged?"""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fractalrs.dataset import Dataset, FileEntry, arrow_file, digest_of, false_claims
from fractalrs.passes import Degrees
from fractalrs.tools import DAMAGE, RemotePath
from fractalrs.validation.checks.pages import has_whole_pages
from fractalrs.validation.findings import Check
from fractalrs.validation.wording import first_few
from fractalrs.words import SPLITS, Split

FILES = "the files are those of the manifest"
PAGES = "every page of the files can be read"
DIGESTS = "the files have their BLAKE3 digest"
COUNTS = "the counts are those of the manifest"
COLUMNS = "files have the columns of the manifest"


class Footers:
    """The footers of a data set's files, each read once."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.files: list[tuple[Split, FileEntry]] = [
            (split, file) for part in dataset.parts for split in SPLITS for file in part.files.get(split, ())
        ]

    @cached_property
    def by_path(self) -> dict[str, pq.FileMetaData | None]:
        """Footers by the files' paths; None of a file that is missing or, without its end, unreadable."""
        return {file.path: _footer(self.dataset.place / file.path) for _, file in self.files}

    @cached_property
    def columns(self) -> Check:
        """Whether names, types and whether values may be missing of every file are those of the manifest."""
        planned, wrong = self.dataset.schema, []
        for path, footer in self.by_path.items():
            found = None if footer is None else footer.schema.to_arrow_schema()
            if found is not None and not found.equals(planned):
                wrong.append(f"{path} has {_described(found)} instead of {_described(planned)}")
        return Check(COLUMNS, "integrity", not wrong, first_few(wrong, 1) or _described(planned))

    @property
    def lack_some(self) -> bool:
        """Whether a file of the manifest is missing or unreadable."""
        return None in self.by_path.values()

    def damaged_pages(self, threads: int) -> list[str]:
        """Return the files of which values are not those that were written, though each page is where it was."""
        store, entries = self.dataset.store, {file.path: file for _, file in self.files}

        def is_damaged(path: str) -> bool:
            footer = self.by_path[path]
            if footer is None or digest_of(store, path) == entries[path].blake3:
                return False
            with store.open(path) as file:
                return has_whole_pages(file, footer)

        with ThreadPoolExecutor(threads) as pool:
            found = [*pool.map(is_damaged, entries)]
        return [path for path, damaged in zip(entries, found, strict=True) if damaged]


def _footer(path: Path | RemotePath) -> pq.FileMetaData | None:
    try:
        return pq.read_metadata(arrow_file(path))
    except PermissionError:
        raise
    except DAMAGE:
        return None


def check_files(footers: Footers, digests: bool) -> list[Check]:
    """Look for every file of the manifest, its size and its rows; take its digest where that is asked for."""
    dataset, wrong, changed, counted = footers.dataset, [], [], []
    sizes = dataset.store.sizes(file.path for _, file in footers.files)
    for split, file in footers.files:
        size, footer = sizes.get(file.path), footers.by_path[file.path]
        if size is None:
            wrong.append(f"{file.path} is missing")
            continue
        if size != file.bytes:
            wrong.append(f"{file.path} has {size:,} bytes instead of {file.bytes:,}")
        if footer is None:
            wrong.append(f"{file.path} cannot be read")
        elif footer.num_rows != file.rows:
            counted.append(f"{file.path} has {footer.num_rows:,} {split} interactions instead of {file.rows:,}")
        if digests and digest_of(dataset.store, file.path) != file.blake3:
            changed.append(file.path)
    wrong += false_claims(dataset)
    if dataset.schema.names == ["user_id", "item_id"] and not footers.columns.holds:
        # Of carried columns this is a check of its own.
        wrong.append(footers.columns.detail)
    # Readers pass over what begins with a dot or an underscore.
    there = [name for name in sorted(dataset.store.list()) if not re.search("/[._]", name)]
    for split in SPLITS:
        foreign = (name for name in there if name.startswith(f"{split}/") and name not in footers.by_path)
        wrong += [f"{name} is none of them" for name in foreign]
    count = dataset.totals["files"]
    found = (f"changed: {first_few(changed)}" if changed else f"all {count} files") if digests else "needs --digests"
    return [
        Check(FILES, "integrity", not wrong, first_few(wrong) or f"all {count} files have their size"),
        Check(DIGESTS, "integrity", not changed if digests else None, found),
        *([Check(COUNTS, "integrity", False, first_few(counted))] if counted else []),
    ]


def check_counts(dataset: Dataset, degrees: Degrees) -> Check:
    """Check the interactions that the pass over all rows found against the manifest."""
    found = {split: int(getattr(degrees, f"user_{split}").sum()) for split in SPLITS if split in dataset.totals}
    counts = ((split, count, dataset.totals[split]) for split, count in found.items())
    wrong = [f"{count:,} {split} interactions instead of {total:,}" for split, count, total in counts if count != total]
    *first, last = (f"{count:,} {split}" for split, count in found.items())
    right = f"{', '.join(first)} and {last} interactions"
    return Check(COUNTS, "integrity", not wrong, first_few(wrong) or right)


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}{' or null' if field.nullable else ''}" for field in schema)
