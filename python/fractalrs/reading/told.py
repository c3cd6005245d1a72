"""What the user tells of times: the form they are written in, or that the order of the rows is their order."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np
import pyarrow as pa

from fractalrs.columns import is_date, is_number, is_text
from fractalrs.errors import InputError
from fractalrs.reading.source import Asked, Source
from fractalrs.reading.times import form_advice, parse_times

_LOOKED_AT = 1000


@dataclass(frozen=True, kw_only=True)
class TimedSource(Source):
    """A source whose timestamps are read as the user said."""

    source: Source
    form: str | None
    order_is_time: bool

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the columns asked for; timestamps become times, or are the numbers of the rows."""
        table = self.source.read(positions)
        if self.order_is_time:
            return table.append_column("timestamp", pa.array(np.arange(1, table.num_rows + 1)))
        if "timestamp" not in positions:
            return table
        place = table.column_names.index("timestamp")
        if self.form is not None:
            try:
                return table.set_column(place, "timestamp", parse_times(table.column(place), self.form))
            except InputError as error:
                self.explain(positions)
                raise InputError(f"{self.name}: {error.message}", hint=error.hint) from None
        self._refuse_other_forms(table.column(place))
        return table

    def explain(self, positions: Mapping[str, int]) -> None:
        """Raise an error that says where the source cannot be used, if that is known better than by row."""
        self.source.explain(positions)

    def _refuse_other_forms(self, column: pa.ChunkedArray) -> None:
        """Say which option reads times that have no form of ISO 8601."""
        if not is_text(column.type):
            return
        texts = [text for text in islice((cell.as_py() for cell in column), _LOOKED_AT) if text]
        if texts and not is_date(texts[0]) and not is_number(texts[0]) and (advice := form_advice(texts)):
            raise InputError(
                f"{self.name}: the timestamp {texts[0]!r} is neither a number nor an ISO date", hint=advice
            )


def timed(source: Source, asked: Asked) -> Source:
    """Return a source that reads timestamps as the user said."""
    own = {field.name: getattr(source, field.name) for field in fields(Source)}
    if asked.order_is_time:
        own["notes"] = (*source.notes, "The order of the rows is that of time: timestamp is the number of the row.")
    return TimedSource(**own, source=source, form=asked.time_format, order_is_time=asked.order_is_time)
