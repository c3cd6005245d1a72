"""The formats of sources, one file each: what is put here is found, and registers itself.

=============== ======================================================================================================
file            reads
=============== ======================================================================================================
text            separated cells with or without a header, any delimiter (CSV, TSV, ``::``, aligned blanks, …); RecBole's
                ``.inter``; plain or compressed with gzip, zstd or bzip2, in UTF-8, UTF-16 or an encoding that is told
lines           text with one user per line (``user item item …``, ``item:count``, or a count first); opened by text
json            JSON: an object per line, objects one after the other, or an array of them; lists are rows
netflix         text in blocks of one item each: a line ``item:``, then ``user,rating,date`` lines
parquet         Parquet files; structures by names such as ``a.b``, and lists of items, each of which is a row
matrix          a SciPy sparse matrix in memory or as ``.npz``: row is user, column is item, values are ratings unless
                all are 1; stored zeros are no interactions
matrix_market   the same as text (``.mtx``)
memory          a pyarrow Table or RecordBatchReader, a pandas or Polars DataFrame, or anything else that has
                ``__arrow_c_stream__``; a NumPy array [n, 2..4] of user, item, rating, timestamp, or one with fields
folder          Parquet files, with keys in the names of folders (``dt=…``) as columns; parts of a table; or one table
                of interactions beside others (``ml-20m/``); and what `fractalrs` wrote
archive         ``.zip`` and ``.tar``, packed or not, that hold one such table (``ml-20m.zip``)
=============== ======================================================================================================

What is not read is named for what it is in `fractalrs.reading.unread`.
"""

from importlib import import_module
from pkgutil import iter_modules

from fractalrs.reading.source import SOURCE_FORMATS

__all__ = ["SOURCE_FORMATS"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
