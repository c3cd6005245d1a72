"""The formats of sources, one file each: what is put here is found, and registers itself.

======== =============================================================================================================
file     reads
======== =============================================================================================================
text     separated cells with or without a header, any delimiter (CSV, TSV, ``::``, …); RecBole's ``.inter``; one user
         per line (``user item item …``); plain or compressed with gzip, zstd or bzip2
parquet  a Parquet file, or a folder with Parquet files, read in the order of their paths
matrix   a SciPy sparse matrix in memory or as ``.npz``: row is user, column is item, values are ratings unless all are
         1; stored zeros are no interactions
memory   a pyarrow Table or RecordBatchReader, a pandas or Polars DataFrame, or anything else that has
         ``__arrow_c_stream__``; a NumPy array [n, 2..4] of user, item, rating, timestamp, or one with named fields
======== =============================================================================================================
"""

from importlib import import_module
from pkgutil import iter_modules

from fractalrs.reading.source import SOURCE_FORMATS

__all__ = ["SOURCE_FORMATS"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
