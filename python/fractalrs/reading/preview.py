"""The first interactions in words, so that who reads them sees what was understood."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from fractalrs.columns import ROLES, ticks, ticks_per_hour

_ROWS = 2


def first_rows(table: pa.Table) -> str:
    """Return a sentence that shows the first rows of interactions as they are kept, times as dates.

    Examples
    --------
    >>> first_rows(pa.table({"user_id": [7], "item_id": ["a"], "rating": [4.5]}))
    "First rows: user 7, item 'a', rating 4.5."
    """
    head = table.slice(0, _ROWS)
    columns = {}
    for role in ROLES:
        if role in head.column_names:
            words = _times(head, role) if role == "timestamp" else map(repr, head.column(role).to_pylist())
            label = "time" if role == "timestamp" else role.removesuffix("_id")
            columns[role] = [f"{label} {word}" for word in words]
    return f"First rows: {'; '.join(map(', '.join, zip(*columns.values(), strict=True)))}."


def _times(head: pa.Table, role: str) -> list[str]:
    field, column = head.schema.field(role), head.column(role)
    hour = ticks_per_hour(field)
    if not pa.types.is_integer(field.type):
        seconds = column.cast(pa.timestamp("s"), safe=False) if hour else column
        return [str(cell) for cell in seconds.to_pylist()]
    if hour is None:
        return [f"{number} (no date: counts of an unknown unit)" for number in column.to_pylist()]
    return [_date(int(number) * 3600 // hour) for number in ticks(column)]


def _date(seconds: int) -> Any:
    try:
        return str(datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None))
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"
