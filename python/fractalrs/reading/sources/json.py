"""JSON: one object per line, objects one after the other, or an array of them."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from fractalrs.columns import is_number
from fractalrs.errors import InputError
from fractalrs.reading.ids import OR_DROP
from fractalrs.reading.nested import leaves
from fractalrs.reading.source import Asked, BatchSource, Source, SourceFormat, register
from fractalrs.reading.stored import HEAD_BYTES, Stored

_BLOCK_BYTES = 32 << 20
_SAMPLE = 1000
_IS_JSON = re.compile(rb"(\xef\xbb\xbf)?\s*(\{\s*[\"}]|\[\s*[\[{\]])")
_AS_LINES = "write one JSON object per interaction and line, as pandas does with to_json(orient='records', lines=True)"
_IDS = ("user_id", "item_id")

Object = dict[str, Any]


def _is_json(path: Path) -> bool:
    return path.is_file() and _IS_JSON.match(Stored.find(path).raw_head(4096)) is not None


def _open(path: Path, asked: Asked) -> Source:
    stored = Stored.find(path, asked.name, asked.text_encoding)
    with stored.stream() as stream:
        head, whole = stream.read(HEAD_BYTES).decode("utf-8-sig", errors="replace"), not stream.read(1)
    is_array = head.lstrip().startswith("[")
    if is_array:
        sample, in_lines = _array(stored), False
    else:
        sample = _first_objects(head, whole, stored.name)
        in_lines = "\n" not in head.strip() or _is_object(head.lstrip().split("\n", 1)[0])
    schema = _schema(sample[:_SAMPLE], stored.name)
    how = "an array of objects" if is_array else "one object per line" if in_lines else "objects"
    paths = leaves(schema)
    return JsonSource(
        name=stored.name,
        notes=(f"Read {path.name} as JSON, {how}{stored.how}.",),
        names=list(paths),
        sample=[[_text(_value(one, path)) for path in paths.values()] for one in sample[:_SAMPLE]],
        batches=lambda _: (),
        stored=stored,
        array=sample if is_array else None,
        in_lines=in_lines,
        paths=tuple(paths.values()),
        schema=schema,
        threads=asked.threads,
    )


@dataclass(frozen=True, kw_only=True)
class JsonSource(BatchSource):
    """A JSON file of which is known which fields its first objects have, each by its path down to it."""

    stored: Stored
    array: list[Object] | None
    in_lines: bool
    paths: tuple[tuple[str, ...], ...]
    schema: pa.Schema
    threads: int | None

    def read(self, positions: Mapping[str, int]) -> pa.Table:
        """Read the fields asked for: quickly where each has one type, else object by object."""
        types = {role: self._type(position) for role, position in positions.items()}
        floats = {role: pa.float64() for role in ("rating", "timestamp") if types.get(role) == pa.int64()}
        attempts = [types, types | floats] if floats else [types]
        if any(pa.types.is_floating(types[role]) for role in _IDS if role in types):
            attempts = []  # ids that a float does not hold
        for attempt in attempts:
            try:
                return self._encoded(positions, self._quickly(positions, attempt).to_batches())
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
        return self._encoded(positions, self._one_by_one(positions))

    def explain(self, positions: Mapping[str, int]) -> None:
        """Raise an error for the first object that lacks what is needed."""
        for where, one in self._objects():
            for role, position in positions.items():
                if role in ("user_id", "item_id", "rating", "timestamp") and _value(one, self.paths[position]) in (
                    "",
                    None,
                ):
                    raise InputError(
                        f"{where}: the {role} ({'.'.join(self.paths[position])}) is missing",
                        hint=OR_DROP.format("object")
                        if role in _IDS
                        else f"fill it in, or decline the column: {role}_column='none' (--{role}-column none)",
                    )

    def _encoded(self, positions: Mapping[str, int], batches: Sequence[pa.RecordBatch]) -> pa.Table:
        source = BatchSource(name=self.name, notes=(), batches=lambda _: batches)
        return source.read(positions)

    def _quickly(self, positions: Mapping[str, int], types: Mapping[str, pa.DataType]) -> pa.Table:
        wanted = {self.paths[position]: types[role] for role, position in positions.items()}
        options = pa_json.ParseOptions(
            explicit_schema=pa.schema(_fields(wanted)),
            unexpected_field_behavior="ignore",
            newlines_in_values=not self.in_lines,
        )
        read = pa_json.ReadOptions(use_threads=self.threads != 1, block_size=_BLOCK_BYTES)
        with self._stream() as stream:
            table = pa_json.read_json(stream, read_options=read, parse_options=options)
        columns = []
        for position in positions.values():
            name, *below = self.paths[position]
            column = table.column(name)
            columns.append(pa.compute.struct_field(column, below) if below else column)
        return pa.table(columns, names=list(positions))

    @contextmanager
    def _stream(self) -> Iterator[Any]:
        if self.array is not None:
            yield io.BytesIO(_as_lines(self.array))
        else:
            with self.stored.stream() as stream:
                yield stream

    def _type(self, position: int) -> pa.DataType:
        name, *below = self.paths[position]
        kind = self.schema.field(name).type
        for step in below:
            kind = kind.field(step).type
        # What looks like a date may be none further down; what the first objects lack may be anything.
        return pa.string() if pa.types.is_timestamp(kind) or pa.types.is_null(kind) else kind

    def _one_by_one(self, positions: Mapping[str, int]) -> list[pa.RecordBatch]:
        values: dict[str, list[Any]] = {role: [] for role in positions}
        for where, one in self._objects():
            for role, position in positions.items():
                value = _value(one, self.paths[position])
                if role in _IDS:
                    value = (
                        [_as_id(v, role, where) for v in value]
                        if isinstance(value, list)
                        else _as_id(value, role, where)
                    )
                elif role == "rating" and isinstance(value, str):
                    value = _as_number(value, where)
                values[role].append(value)
        try:
            return [pa.RecordBatch.from_pydict(values)]
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise InputError(f"{self.name}: {error}", hint="give each field values of one type") from None

    def _objects(self) -> Iterator[tuple[str, Object]]:
        """Yield every object, and where it is."""
        if self.array is not None:
            yield from ((f"{self.name}, element {number}", one) for number, one in enumerate(self.array, start=1))
            return
        with self.stored.stream() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace") as text:
            if not self.in_lines:
                found = _first_objects(text.read(), True, self.name, None)
                yield from ((f"{self.name}, object {number}", one) for number, one in enumerate(found, start=1))
                return
            for number, line in enumerate(text, start=1):
                if line.strip():
                    where = f"{self.name}, line {number}"
                    yield where, _checked(_parsed(line, where), where)


def _schema(sample: list[Object], name: str) -> pa.Schema:
    """Return the fields of some objects, text where they hold values of several types."""
    try:
        return pa_json.read_json(io.BytesIO(_as_lines(sample))).schema
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    try:
        return pa_json.read_json(io.BytesIO(_as_lines([_texts(one) for one in sample]))).schema
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name} cannot be read as JSON: {error}", hint=_AS_LINES) from None


def _texts(value: Any) -> Any:
    """Return a value with all numbers in it as text."""
    if isinstance(value, dict):
        return {key: _texts(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_texts(below) for below in value]
    return str(value) if isinstance(value, int | float) else value


def _array(stored: Stored) -> list[Object]:
    with stored.stream() as stream:
        found = _parsed(stream.read().decode("utf-8-sig", errors="replace"), stored.name)
    if not found:
        raise InputError(f"{stored.name} holds an empty JSON array", hint="give at least one object")
    return [_checked(one, f"{stored.name}, element {number}") for number, one in enumerate(found, start=1)]


def _first_objects(text: str, whole: bool, name: str, most: int | None = _SAMPLE) -> list[Object]:
    """Return the first objects of a text, all of them if no number is given."""
    decoder, at = json.JSONDecoder(), 0
    found: list[Object] = []
    start = re.compile(r"\s*")
    while (at := start.match(text, at).end()) < len(text) and (most is None or len(found) < most):  # type: ignore[union-attr]
        try:
            one, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if not whole and found:
                break
            line = text.count("\n", 0, at) + 1
            what = "is not JSON" if whole else "is too long for one interaction, or not JSON"
            raise InputError(f"{name}, line {line}: this {what}: {error}", hint=_AS_LINES) from None
        found.append(_checked(one, name))
    if not found:
        raise InputError(f"{name} is empty", hint=_AS_LINES)
    nested = [value for value in found[0].values() if isinstance(value, list | dict)]
    tables = any(isinstance(value, list) and value and isinstance(value[0], dict | list) for value in nested)
    if len(found) == 1 and whole and (tables or len(nested) == len(found[0])):
        raise InputError(
            f"{name} is a single JSON object with the keys {', '.join(map(repr, list(found[0])[:5]))}", hint=_AS_LINES
        )
    return found


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: this is not JSON: {error}", hint="correct or remove it") from None


def _checked(one: Any, where: str) -> Object:
    if not isinstance(one, dict) or not one:
        raise InputError(f"{where} holds {json.dumps(one)[:60]}, which is no object with names", hint=_AS_LINES)
    return one


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _as_lines(objects: Sequence[Object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


def _value(one: Any, path: Sequence[str]) -> Any:
    for step in path:
        one = one.get(step) if isinstance(one, dict) else None
    return one


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _as_id(value: Any, role: str, where: str) -> str | None:
    if isinstance(value, bool | dict | list) or (isinstance(value, float) and not value.is_integer()):
        raise InputError(f"{where}: the {role} is {json.dumps(value)[:60]}", hint="give ids as integers or strings")
    return None if value is None else str(int(value) if isinstance(value, float) else value)


def _as_number(value: str, where: str) -> float:
    if not is_number(value):
        raise InputError(f"{where}: the rating {value!r} is not a number", hint="correct or remove the object")
    return float(value)


def _fields(wanted: Mapping[tuple[str, ...], pa.DataType]) -> list[pa.Field]:
    """Return the fields that hold some paths."""
    below: dict[str, dict[tuple[str, ...], pa.DataType]] = {}
    for (name, *rest), kind in wanted.items():
        below.setdefault(name, {})[tuple(rest)] = kind
    return [pa.field(name, paths[()] if () in paths else pa.struct(_fields(paths))) for name, paths in below.items()]


register(SourceFormat(("json",), "JSON", _is_json, _open, takes_encoding=True))
