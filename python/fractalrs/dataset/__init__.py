"""What is on disk: plan, parts, private files, manifest, card; writing it and opening it.

Layout of the files is `layout`; what is there `folder`; `writing` puts them there.
"""

from fractalrs.dataset.attributes import Attributes, match, source_codes
from fractalrs.dataset.dataset import Dataset, open_dataset
from fractalrs.dataset.folder import Folder
from fractalrs.dataset.layout import ParquetOptions, Part, user_ranges
from fractalrs.dataset.manifest import AttributesEntry, FileEntry, Manifest, PartEntry
from fractalrs.dataset.part_files import opened, whole_users
from fractalrs.dataset.plans import OTHER_SOURCE, Plan, checked_licence, differences, plan
from fractalrs.dataset.private import Private, expansion_statistics
from fractalrs.dataset.sizes import expected_bytes, memory_needed
from fractalrs.dataset.survey import Forecast, forecast, other_plan
from fractalrs.dataset.writing import finish, write, write_part, write_plan

__all__ = [
    "OTHER_SOURCE",
    "Attributes",
    "AttributesEntry",
    "Dataset",
    "FileEntry",
    "Folder",
    "Forecast",
    "Manifest",
    "ParquetOptions",
    "Part",
    "PartEntry",
    "Plan",
    "Private",
    "checked_licence",
    "differences",
    "expansion_statistics",
    "expected_bytes",
    "finish",
    "forecast",
    "match",
    "memory_needed",
    "open_dataset",
    "opened",
    "other_plan",
    "plan",
    "source_codes",
    "user_ranges",
    "whole_users",
    "write",
    "write_part",
    "write_plan",
]
