"""Options of a recipe that say how the source is read."""

from dataclasses import dataclass
from typing import Any

from fractalrs.errors import InputError
from fractalrs.expansion import Group, option
from fractalrs.reading import checked_encoding, checked_form, format_names
from fractalrs.words import MissingIds


def _column(name: str, column: Any) -> str | int:
    if not isinstance(column, str | int) or isinstance(column, bool):
        raise InputError(f"{name} is {column!r}; it must be the name of a column, or its position from 1")
    return column


_COLUMN = {"value": "COLUMN", "accepts": int, "take": _column}


@dataclass(frozen=True, init=False, repr=False)
class Parsing:
    """How the source is read."""

    input_format: str = option(
        "auto", f"{', '.join(format_names())}.", Group.READING, value="NAME", choices=format_names()
    )
    delimiter: str | None = option(
        None, "Between the cells of a line, such as '::' or '\\t'.", Group.READING, value="TEXT"
    )
    header: bool | None = option(
        None,
        "The first line holds names, or is data.",
        Group.READING,
        spelling=("--header/--no-header",),
        unset="found",
    )
    text_encoding: str | None = option(
        None,
        "Encoding of text, such as latin-1 or gbk.",
        Group.READING,
        value="NAME",
        take=lambda _, name: checked_encoding(name),
        unset="UTF-8, or as its first bytes say",
    )
    time_format: str | None = option(
        None,
        "Form of timestamps that are no ISO dates, as strptime has it: '%d/%m/%Y %H:%M'.",
        Group.READING,
        value="FORM",
        take=lambda _, form: checked_form(form),
    )
    order_is_time: bool = option(
        False, "Rows are in order of time: the number of the row is the timestamp.", Group.READING
    )
    user_column: str | None = option(
        None, "Column of user ids: its name, or its position from 1.", Group.READING, **_COLUMN
    )
    item_column: str | None = option(None, "Column of item ids.", Group.READING, **_COLUMN)
    rating_column: str | None = option(None, "Column of ratings; none: there are none.", Group.READING, **_COLUMN)
    timestamp_column: str | None = option(None, "Column of timestamps; none: there are none.", Group.READING, **_COLUMN)
    missing_ids: MissingIds = option(
        "refuse",
        "Where NA, NULL, -1 or the like stands for an id in more than a few rows: refuse the source, drop such rows, "
        "or keep them.",
        Group.READING,
    )

    @property
    def reading(self) -> dict[str, Any]:
        """How the source is read, as far as that is said: arguments of `read_interactions`."""
        columns = ("user_column", "item_column", "rating_column", "timestamp_column")
        names = (*columns, "delimiter", "header", "text_encoding", "time_format")
        given: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        given |= {"order_is_time": True} if self.order_is_time else {}
        given |= {} if self.missing_ids == "refuse" else {"missing_ids": self.missing_ids}
        return given | ({} if self.input_format == "auto" else {"format": self.input_format})
