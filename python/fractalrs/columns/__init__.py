"""Columns of tables: how they are found by name, and what their types become."""

from fractalrs.columns.names import ALIASES, ROLES, Columns, Wanted, check_names, choose_columns, simplify
from fractalrs.columns.types import (
    as_carried,
    as_ratings,
    as_timestamps,
    is_text,
    is_time,
    numbers,
    one_chunk,
    ticks,
    ticks_per_hour,
    timestamp_field,
    timestamps_from_ticks,
    written_type,
)

__all__ = [
    "ALIASES",
    "ROLES",
    "Columns",
    "Wanted",
    "as_carried",
    "as_ratings",
    "as_timestamps",
    "check_names",
    "choose_columns",
    "is_text",
    "is_time",
    "numbers",
    "one_chunk",
    "simplify",
    "ticks",
    "ticks_per_hour",
    "timestamp_field",
    "timestamps_from_ticks",
    "written_type",
]
