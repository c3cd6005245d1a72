"""Tables within tables: fields of fields by names such as ``a.b``, and lists, of which one row has many items."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from fractalrs.errors import InputError

_SEPARATOR = "."


def leaves(fields: Sequence[pa.Field] | pa.Schema, prefix: str = "") -> dict[str, tuple[str, ...]]:
    """Return the columns of a table, those in structures by names such as ``a.b``: name to the path down to it.

    Examples
    --------
    >>> leaves(pa.schema([("user", pa.struct([("id", pa.int64())])), ("item", pa.int64())]))
    {'user.id': ('user', 'id'), 'item': ('item',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for field in fields:
        if pa.types.is_struct(field.type) and field.type.num_fields:
            below = leaves(list(field.type), f"{prefix}{field.name}{_SEPARATOR}")
            found |= {name: (field.name, *path) for name, path in below.items() if name not in found}
        else:
            found.setdefault(f"{prefix}{field.name}", (field.name,))
    return found


def unrolled(name: str, roles: Sequence[str], columns: Sequence[pa.Array]) -> list[pa.Array]:
    """Return columns in which each element of a list of items is a row, with what stands beside it.

    Lists beside it must be as long; what is no list is repeated. Nothing changes where the items are no lists.
    """
    if "item_id" not in roles or not _is_list(columns[roles.index("item_id")].type):
        return list(columns)
    items = columns[roles.index("item_id")]
    lengths = _lengths(items)
    rows = pc.list_parent_indices(items)
    found = []
    for role, column in zip(roles, columns, strict=True):
        if not _is_list(column.type):
            found.append(column.take(rows))
            continue
        if not _lengths(column).equals(lengths):
            raise InputError(
                f"{name}: the lists of {role} are not as long as those of item_id",
                hint="each interaction has one element in each list",
            )
        found.append(pc.list_flatten(column))
    return found


def _lengths(lists: pa.Array) -> pa.Array:
    return pc.fill_null(pc.list_value_length(lists).cast(pa.int64()), 0)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
