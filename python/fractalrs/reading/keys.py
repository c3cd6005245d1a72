"""Keys in the names of folders, such as ``dt=2024-01-31``: Hive's way to keep a column out of the files."""

from collections.abc import Iterable, Sequence
from urllib.parse import unquote

import pyarrow as pa

_NONE = "__HIVE_DEFAULT_PARTITION__"


def partition_keys(folders: Sequence[Sequence[str]]) -> dict[str, pa.Array]:
    """Return the keys in the names of the folders that lead to files: name to a value for each file.

    Like pyarrow has them of Parquet files: int32 where all are integers, else text; null where a file has none.

    Examples
    --------
    >>> {name: values.to_pylist() for name, values in partition_keys([["dt=2024-01-31", "h=07"], ["h=8"]]).items()}
    {'dt': ['2024-01-31', None], 'h': [7, 8]}
    """
    found = [dict(part.split("=", 1) for part in parts if "=" in part) for parts in folders]
    keys = {}
    for name in dict.fromkeys(name for one in found for name in one):
        texts = [None if one.get(name) in (None, _NONE) else unquote(one[name]) for one in found]
        values = pa.array(texts, pa.string())
        try:
            keys[name] = values.cast(pa.int32())
        except pa.ArrowInvalid:
            keys[name] = values
    return keys


def keys_note(keys: Iterable[str]) -> str:
    """Return the sentence that says which columns are keys."""
    return f"Keys in the names of folders are columns: {', '.join(keys)}."
