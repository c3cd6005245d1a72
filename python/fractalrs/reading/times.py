"""Times written in another form than ISO 8601: read when the form is told, and what form they may have."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.columns import is_number, is_text, one_chunk
from fractalrs.errors import InputError

_ZONE = re.compile(r":\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)$")
_DAYS: tuple[str, ...] = (
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y.%m.%d",
    "%m %d, %Y",
    "%d %b %Y",
)
_DAYS += ("%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%d-%b-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%Y-%m-%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p", "T%H:%M:%S")
_FORMS = (
    *(day + clock for day in _DAYS for clock in _CLOCKS),
    *("%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z"),
)
_COMPARED = 1000


def names_zone(text: str) -> bool:
    """Return whether an ISO date says in which zone it is."""
    return _ZONE.search(text) is not None


def has_form(text: str, form: str) -> bool:
    """Return whether a text is a time of a form, as `strptime` has them."""
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def checked_form(form: object) -> str | None:
    """Return a form of times; refuse what is none.

    Examples
    --------
    >>> checked_form("%d/%m/%Y")
    '%d/%m/%Y'
    """
    if form is None:
        return None
    if not isinstance(form, str) or "%" not in form:
        raise InputError(f"time_format is {form!r}", hint="give a form of strptime, such as '%d/%m/%Y %H:%M'")
    try:
        datetime.strptime(datetime(2004, 2, 29, tzinfo=UTC).strftime(form), form)
    except ValueError as error:
        raise InputError(
            f"time_format is {form!r}, which is no form of strptime: {error}", hint="such as '%d/%m/%Y %H:%M'"
        ) from None
    return form


def form_advice(texts: Sequence[str]) -> str | None:
    """Return which option reads all of some times; `None` if none does."""
    texts = [text for text in texts if text]
    if not texts or all(map(is_number, texts)):
        return None
    # The first text rules out most.
    forms = [form for form in _FORMS if has_form(texts[0], form) and all(has_form(text, form) for text in texts)]
    if not forms:
        return None
    said = f"say time_format={forms[0]!r} (--time-format {forms[0]!r})"
    return f"{said}, or {forms[1]!r} if that is meant: both read the first rows" if len(forms) > 1 else said


def parse_times(column: pa.ChunkedArray, form: str) -> pa.Array:
    """Return times written in a form as timestamps, with the time zone UTC if the form has a zone.

    Raises
    ------
    InputError
        If they are no text, or one does not have the form; the message has the first such row, counted from 1.
    """
    values = one_chunk(column)
    if not is_text(values.type):
        raise InputError(
            f"time_format is {form!r}, and the timestamps are no text but {values.type}", hint="leave it out"
        )
    encoded = values.cast(pa.string()).dictionary_encode()
    texts, zone = encoded.dictionary, "UTC" if "%z" in form else None
    unit = "us" if "%f" in form else "s"
    if unit == "us":
        times = pa.nulls(len(texts), pa.timestamp(unit, zone))
    else:
        times = pc.strptime(texts, format=form, unit=unit, error_is_null=True).cast(pa.timestamp(unit, zone))
    parsed = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    # That takes the 31st of February for the 3rd of March, and a form or two not at all: Python has the last word.
    doubtful = pc.fill_null(pc.or_(pc.less_equal(pc.day(times), 3), pc.less_equal(pc.second(times), 1)), True)
    doubtful = doubtful.to_numpy(zero_copy_only=False)
    doubtful[:_COMPARED] = True
    exact = np.nan_to_num(parsed).astype(np.int64)
    bad = np.zeros(len(texts), dtype=bool)
    scale = 10**6 if unit == "us" else 1
    for place in np.flatnonzero(doubtful):
        text = texts[int(place)].as_py()
        try:
            time = datetime.strptime(text, form) if text is not None else None
        except ValueError:
            time = None
        bad[place] = time is None
        if time is not None:
            apart = time.replace(tzinfo=time.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
            exact[place] = (apart.days * 86400 + apart.seconds) * scale + (apart.microseconds if scale > 1 else 0)
    if bad.any():
        row = pc.index(pc.is_in(encoded.indices, pa.array(np.flatnonzero(bad).astype(np.int32))), True).as_py()
        if row >= 0:
            raise InputError(
                f"row {row + 1}: the timestamp {values[row].as_py()!r} does not have the form {form!r}",
                hint="correct or remove the row",
            )
    return pa.array(exact).cast(pa.timestamp(unit, zone)).take(encoded.indices)
