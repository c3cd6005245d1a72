"""Which column of a source holds the users, the items, the ratings and the timestamps, and which others are carried.

Columns are recognised by the names that the usual data sets give them, whatever their case and punctuation
(``userId``, ``User-ID`` and ``user_id`` are one name). Where there are no names, the order is
user, item, rating, timestamp.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fractalrs.errors import InputError

ROLES = ("user_id", "item_id", "rating", "timestamp")
"""What a column can be, in the order in which `Interactions` holds them."""

ALIASES: dict[str, tuple[str, ...]] = {
    # The first alias that occurs wins, so plain names come before those that are only sometimes a user or an item.
    "user_id": (
        *("userid", "user", "users", "uid", "useridx", "userindex", "userkey", "userno", "usercode", "remapuserid"),
        *("reviewerid", "customerid", "custid", "customer", "visitorid", "fullvisitorid", "memberid", "profileid"),
        *("accountid", "playerid", "steamid", "authorsteamid", "personid", "clientid", "msno", "householdkey"),
        *("readerid", "listenerid", "reviewer", "reviewprofilename", "username", "cookieid"),
        *("sessionid", "session"),
    ),
    "item_id": (
        *("itemid", "item", "items", "iid", "itemidx", "itemindex", "itemkey", "itemno", "itemcode", "remapitemid"),
        *("parentasin", "asin", "movieid", "movie", "businessid", "gmapid", "bookid", "book", "isbn", "articleid"),
        *("productid", "product", "prodid", "sku", "songid", "song", "trackid", "track", "traid", "artistid", "artist"),
        *("artid", "musicid", "albumid", "gameid", "game", "gametitle", "appid", "videoid", "video", "photoid"),
        *("newsid", "postid", "contentid", "courseid", "recipeid", "animeid", "anime", "jokeid", "joke"),
        *("beerid", "beerbeerid", "placeid", "venueid", "poiid", "poi", "locationid", "spotid", "hotelid", "listingid"),
        *("restaurantid", "podcastid", "showid", "adid", "offerid", "couponid", "merchantid", "brandid", "repoid"),
        *("bookmarkid", "urlid", "documentid", "docid", "streamername"),
    ),
    "rating": (
        *("rating", "ratings", "overall", "stars", "star", "score", "bookrating", "reviewoverall", "userrating"),
        *("reviewscore", "ratingvalue", "preference", "weight", "playcount", "plays", "playtime", "hours", "count"),
        *("confidence", "interest", "value", "label"),
    ),
    "timestamp": (
        *("timestamp", "unixreviewtime", "unixtimestamp", "unixtime", "ratingtimestamp", "timestampms", "ts", "time"),
        *("datetime", "eventtime", "eventtimestamp", "utctimestamp", "checkintime", "date", "eventdate", "tdat"),
        *("createdat", "reviewdate", "ratingdate", "timecreated", "reviewtime", "submissiondate", "timems"),
    ),
}
"""Names by role, in lower case and without punctuation; earlier ones win."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?UTC|Z|[+-]\d\d(:?\d\d)?)?)?")
_UNIX_TIME = re.compile(r"[1-9]\d{8,18}(\.\d*)?")
_NAME_THE_COLUMNS = "name them with user_column and item_column (--user-column, --item-column)"


@dataclass(frozen=True)
class Wanted:
    """The columns that the user named, by name or by position; positions count from 1, as ``cut -f`` does.

    `roles` has a column for each role, `None` where the user left the choice; `carry` further ones to keep, in order.
    """

    roles: Mapping[str, str | int | None]
    carry: tuple[str | int, ...] = ()


def simplify(name: str) -> str:
    """Return what of a column name is compared: no RecBole type, no case, no punctuation."""
    return re.sub(r"[\W_]+", "", strip_type(name).lower())


def strip_type(name: str) -> str:
    """Return a name without the type that RecBole writes behind it: ``user_id:token`` is ``user_id``."""
    return re.sub(r":(token|float|token_seq|float_seq)$", "", name.strip())


def is_number(text: str) -> bool:
    """Return whether a cell is a finite decimal number."""
    return _NUMBER.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Return whether a cell has the form of an ISO 8601 date, with or without a time of day."""
    return _DATE.fullmatch(text) is not None


def check_names(names: Iterable[str]) -> None:
    """Refuse two columns of one name; case makes no difference to Spark, so none here."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise InputError(
                f"two columns of the output would be called {name!r}", hint="rename one, or name each column once"
            )
        seen.add(name.lower())


def has_header(rows: Sequence[Sequence[str]], wanted: Wanted | None = None) -> bool:
    """Return whether the first of some rows, cells as text, holds names rather than data.

    It does if a cell is a known name of users or items or is named by the user, or if no cell of the first row is a
    number while below one of them every cell is a number or a date.
    """
    first, rest = rows[0], rows[1:]
    columns = () if wanted is None else (*wanted.roles.values(), *wanted.carry)
    asked = {simplify(name) for name in columns if isinstance(name, str) and not name.strip().isdecimal()}
    if {simplify(cell) for cell in first} & {*ALIASES["user_id"], *ALIASES["item_id"], *asked}:
        return True
    if any(map(_is_value, first)):
        return False
    below = ([row[column] if column < len(row) else "" for row in rest] for column in range(len(first)))
    return any(cells and all(map(_is_value, cells)) for cells in below)


def choose_columns(
    names: Sequence[str] | None, sample: Sequence[Sequence[str]], wanted: Wanted, source: str
) -> tuple[dict[str, int], str]:
    """Return the 0-based number of each column that is used, and a sentence on what was chosen and what left out.

    First come the roles, in the order of `ROLES`, users and items always among them; then the carried columns, by their
    own names. Messages call the source `source`.

    Parameters
    ----------
    names, sample
        The names of the columns, and some rows as text. Where there are no names (`None`), there is at least one row:
        the cells decide between rating and timestamp.
    wanted
        The columns that the user named; the choice of other roles is left to this function. Without names, a user who
        gives both the users' and the items' position gets just the columns asked for, and a carried column is called
        by its position, ``column_5``.

    Raises
    ------
    InputError
        If the users or items cannot be found, a column that was asked for is not there, one column is asked for
        twice, or a carried column is called as a column of the output.
    """
    width = len(names) if names is not None else len(sample[0])
    asked = {
        role: _find(column, names, width, f"for {role}", source)
        for role in ROLES
        if (column := wanted.roles.get(role)) is not None
    }
    if len(set(asked.values())) < len(asked):
        raise InputError(f"{source}: the same column is asked for twice", hint="name a different column for each role")
    chosen = _by_name(names, asked, source) if names is not None else _by_position(width, sample, asked, source)
    roles = {role: chosen[role] for role in ROLES if role in chosen}
    carried = _find_carried(names, width, wanted.carry, roles, source)
    return roles | carried, _describe(names, width, roles, carried)


def _is_value(cell: str) -> bool:
    return is_number(cell) or is_date(cell)


def _find(column: str | int, names: Sequence[str] | None, width: int, what_for: str, source: str) -> int:
    """Return the 0-based number of one column that the user named."""
    text = str(column).strip()
    if names is not None and isinstance(column, str):
        for same in (str.__eq__, lambda a, b: simplify(a) == simplify(b)):
            for position, name in enumerate(names):
                if same(name, text):
                    return position
    if not text.lstrip("-").isdecimal():
        raise InputError(
            f"{source}: no column {text!r} {what_for}; {_saw(names, width)}",
            hint="name one of these, or give its position, counted from 1",
        )
    if not 1 <= int(text) <= width:
        raise InputError(
            f"{source}: no column number {text} {what_for}; {_saw(names, width)}", hint="positions count from 1"
        )
    return int(text) - 1


def _find_carried(
    names: Sequence[str] | None, width: int, carry: Sequence[str | int], roles: Mapping[str, int], source: str
) -> dict[str, int]:
    """Return the columns to carry: name to 0-based number."""
    numbers = [_find(column, names, width, "to carry", source) for column in carry]
    for role, number in roles.items():
        if number in numbers:
            raise InputError(
                f"{source}: the column {carry[numbers.index(number)]!r} to carry is the {role} already; "
                f"{_saw(names, width)}",
                hint=f"leave it out, or name another column for the {role} (--{role.removesuffix('_id')}-column)",
            )
    carried = [(names[number] if names is not None else "") or f"column_{number + 1}" for number in numbers]
    try:
        check_names([*ROLES, *carried])
    except InputError as error:
        raise InputError(f"{source}: {error.message}; {_saw(names, width)}", hint=error.hint) from None
    return dict(zip(carried, numbers, strict=True))


def _by_name(names: Sequence[str], asked: Mapping[str, int], source: str) -> dict[str, int]:
    chosen = dict(asked)
    simple = [simplify(name) for name in names]
    for role in ROLES:
        for alias in ALIASES[role]:
            if role not in chosen and alias in simple and simple.index(alias) not in chosen.values():
                chosen[role] = simple.index(alias)
    missing = [what for role, what in (("user_id", "users"), ("item_id", "items")) if role not in chosen]
    if missing:
        raise InputError(
            f"{source}: cannot tell which column holds the {' and the '.join(missing)}; {_saw(names, len(names))}",
            hint=f"{_NAME_THE_COLUMNS}; a file without a header needs header=False (--no-header)",
        )
    return chosen


def _by_position(width: int, sample: Sequence[Sequence[str]], asked: Mapping[str, int], source: str) -> dict[str, int]:
    chosen = dict(asked)
    if "user_id" in asked and "item_id" in asked:
        return chosen
    if not 2 <= width <= 4:
        raise InputError(
            f"{source}: {_saw(None, width)}, so which hold users and items is not clear",
            hint=f"{_NAME_THE_COLUMNS}, by position, counted from 1",
        )
    free = [column for column in range(width) if column not in chosen.values()]
    for role in ("user_id", "item_id"):
        if role not in chosen and free:
            chosen[role] = free.pop(0)
    if "item_id" not in chosen:
        raise InputError(f"{source}: no column is left for the items", hint=_NAME_THE_COLUMNS)
    times = [column for column in free if _looks_like_time(sample, column)]
    if "timestamp" not in chosen and times:
        # Of two time-like columns the later is the timestamp, as in the order that is usual.
        chosen["timestamp"] = times[-1]
    for role in ("rating", "timestamp"):
        rest = [column for column in free if column not in chosen.values()]
        if role not in chosen and rest:
            chosen[role] = rest[0]
    return chosen


def _looks_like_time(sample: Sequence[Sequence[str]], column: int) -> bool:
    cells = [row[column] for row in sample if column < len(row)]
    return bool(cells) and all(is_date(cell) or _UNIX_TIME.fullmatch(cell.strip()) is not None for cell in cells)


def _saw(names: Sequence[str] | None, width: int) -> str:
    if names is None:
        return f"saw {width} column{'s' if width != 1 else ''} without names"
    return "saw the columns " + ", ".join(repr(name) for name in names)


def _describe(names: Sequence[str] | None, width: int, roles: Mapping[str, int], carried: Mapping[str, int]) -> str:
    def label(column: int) -> str:
        return repr(names[column]) if names is not None else f"column {column + 1}"

    chosen = ", ".join(f"{role} is {label(column)}" for role, column in roles.items())
    used = (*roles.values(), *carried.values())
    kept = ", ".join(label(column) for column in carried.values())
    left = ", ".join(label(column) for column in range(width) if column not in used)
    return f"Columns: {chosen}{f'; carried: {kept}' if kept else ''}{f'; not used: {left}' if left else ''}."
