"""Which column of a source holds the users, the items, the ratings and the timestamps, and which others are carried.

Columns are recognised by the names that the usual data sets give them, whatever their case and punctuation
(``userId``, ``User-ID`` and ``user_id`` are one name), and judged by what their first cells look like: of several that
could be the timestamp the finest is. Where there are no names, the order is user, item, rating, timestamp, and cells
that do not look so are refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fractalrs.columns.looks import Looks, column_of, is_date, is_number, looks_of
from fractalrs.errors import InputError
from fractalrs.words import WARNING

ROLES = ("user_id", "item_id", "rating", "timestamp")
"""What a column can be, in the order in which `Interactions` holds them."""

ALIASES: dict[str, tuple[str, ...]] = {
    # The first alias that occurs wins, so plain names come before those that are only sometimes a user or an item.
    "user_id": (
        *("userid", "user", "users", "uid", "useridx", "userindex", "userkey", "userno", "usercode", "remapuserid"),
        *("reviewerid", "customerid", "custid", "customer", "visitorid", "fullvisitorid", "memberid", "profileid"),
        *("accountid", "playerid", "steamid", "authorsteamid", "personid", "clientid", "msno", "householdkey"),
        *("readerid", "listenerid", "reviewer", "reviewprofilename", "username", "cookieid", "userpseudoid"),
        *("sessionid", "session"),
    ),
    "item_id": (
        *(
            "itemid",
            "item",
            "items",
            "itemids",
            "iid",
            "itemidx",
            "itemindex",
            "itemkey",
            "itemno",
            "itemcode",
            "remapitemid",
        ),
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
        *(
            "timestamp",
            "timestamps",
            "unixreviewtime",
            "unixtimestamp",
            "unixtime",
            "ratingtimestamp",
            "timestampms",
            "ts",
            "time",
        ),
        *("datetime", "eventtime", "eventtimestamp", "utctimestamp", "checkintime", "date", "eventdate", "tdat"),
        *("createdat", "reviewdate", "ratingdate", "timecreated", "reviewtime", "submissiondate", "timems"),
    ),
}
"""Names by role, in lower case and without punctuation; earlier ones win where values do not decide."""

OPTIONAL = ("rating", "timestamp")
"""The roles that a source need not have, and that can be declined: their column is ``"none"``."""

_SHOWN = 30
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?")
_A_DAY = 86_400 * 10**9
_NO_TIME = 10**18
"""More than any grain of times."""
_NAME_THE_COLUMNS = "name them with user_column and item_column (--user-column, --item-column)"


@dataclass(frozen=True)
class Wanted:
    """The columns that the user named, by name or by position; positions count from 1, as ``cut -f`` does.

    `roles` has a column for each role, `None` where the user left the choice and ``"none"`` where there is to be none;
    `carry` further ones to keep, in order.
    """

    roles: Mapping[str, str | int | None]
    carry: tuple[str | int, ...] = ()

    @property
    def declined(self) -> set[str]:
        """Roles that there are to be no columns for."""
        given = {role: self.roles.get(role) for role in OPTIONAL}
        return {role for role, column in given.items() if isinstance(column, str) and column.strip().lower() == "none"}

    @property
    def asked(self) -> dict[str, str | int]:
        """Roles whose columns are named."""
        named = {role: column for role in ROLES if (column := self.roles.get(role)) is not None}
        return {role: column for role, column in named.items() if role not in self.declined}


def simplify(name: str) -> str:
    """Return what of a column name is compared: no RecBole type, no case, no punctuation."""
    return re.sub(r"[\W_]+", "", strip_type(name).lower())


def strip_type(name: str) -> str:
    """Return a name without the type that RecBole writes behind it: ``user_id:token`` is ``user_id``."""
    return re.sub(r":(token|float|token_seq|float_seq)$", "", name.strip())


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
    columns = () if wanted is None else (*wanted.asked.values(), *wanted.carry)
    asked = {simplify(name) for name in columns if isinstance(name, str) and not name.strip().isdecimal()}
    if {simplify(cell) for cell in first} & {*ALIASES["user_id"], *ALIASES["item_id"], *asked}:
        return True
    if any(map(_is_value, first)):
        return False
    below = ([row[column] if column < len(row) else "" for row in rest] for column in range(len(first)))
    return any(cells and all(map(_is_value, cells)) for cells in below)


def choose_columns(
    names: Sequence[str] | None, sample: Sequence[Sequence[str]], wanted: Wanted, source: str
) -> tuple[dict[str, int], list[str]]:
    """Return the 0-based number of each column that is used, and sentences on what was chosen and what left out.

    First come the roles, in the order of `ROLES`, users and items always among them; then the carried columns, by their
    own names. Messages call the source `source`.

    Parameters
    ----------
    names, sample
        The names of the columns, and some rows as text. Where there are no names (`None`), there is at least one row.
    wanted
        The columns that the user named; the choice of other roles is left to this function. Without names, a user who
        gives both the users' and the items' position gets just the columns asked for, and a carried column is called
        by its position, ``column_5``.

    Raises
    ------
    InputError
        If the users or items cannot be found, cells without names look otherwise than their place says, a column that
        was asked for is not there, one column is asked for twice, or a carried column is called as a column of the
        output.
    """
    width = len(names) if names is not None else len(sample[0])
    asked = {role: _find(column, names, width, f"for {role}", source) for role, column in wanted.asked.items()}
    if len(set(asked.values())) < len(asked):
        raise InputError(f"{source}: the same column is asked for twice", hint="name a different column for each role")
    if names is not None:
        chosen = _by_name(names, sample, asked, wanted.declined, source)
    else:
        chosen = _by_position(width, sample, asked, wanted.declined, source)
    roles = {role: chosen[role] for role in ROLES if role in chosen}
    carried = _find_carried(names, width, wanted.carry, roles, source)
    notes = [_describe(names, width, roles, carried)]
    if names is not None:
        _refuse_twins(names, sample, {role: column for role, column in roles.items() if role not in asked}, source)
        notes += _on_times_of_day(names, sample, roles)
    if names is None and not {"user_id", "item_id"} <= asked.keys():
        notes.append(_exchanged(sample, roles))
    return roles | carried, notes


def _refuse_twins(names: Sequence[str], sample: Sequence[Sequence[str]], roles: Mapping[str, int], source: str) -> None:
    """Refuse a column that was found by its name where another, with other cells, has the same name."""
    for role, chosen in roles.items():
        others = [column for column, name in enumerate(names) if name == names[chosen] and column != chosen]
        if any(column_of(sample, column) != column_of(sample, chosen) for column in others):
            option = f"{role.removesuffix('_id')}_column"
            raise InputError(
                f"{source}: the columns {chosen + 1} and {others[0] + 1} are both called {names[chosen]!r}",
                hint=f"say which holds the {role}: {option}={chosen + 1} (--{option.replace('_', '-')} {chosen + 1})",
            )


def _on_times_of_day(names: Sequence[str], sample: Sequence[Sequence[str]], roles: Mapping[str, int]) -> list[str]:
    """Warn of times of day in a column that is not used, beside dates."""
    if "timestamp" not in roles:
        return []
    for column, name in enumerate(names):
        if column in roles.values():
            continue
        cells = [cell.strip() for cell in column_of(sample, column) if cell.strip()]
        if not cells or not all(map(_TIME_OF_DAY.fullmatch, cells)):
            continue
        if (looks_of(column_of(sample, roles["timestamp"])).grain or 0) >= _A_DAY:
            return [
                f"{WARNING}The timestamps {names[roles['timestamp']]!r} are days, and {name!r} has times of day: "
                "who was last on a day is not known; write both into one column, such as 2024-01-31 12:00:00."
            ]
    return []


def serving(names: Sequence[str] | None, role: str, used: Iterable[int]) -> list[int]:
    """Return the columns beside those used whose names say that they could take a role, the best first.

    Examples
    --------
    >>> serving(["user_id", "item_id", "session_id"], "user_id", [0, 1])
    [2]
    """
    simple, taken = [simplify(name) for name in names or ()], set(used)
    found = [simple.index(alias) for alias in ALIASES[role] if alias in simple]
    return [column for column in found if column not in taken]


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


def _by_name(
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
    asked: Mapping[str, int],
    declined: Iterable[str],
    source: str,
) -> dict[str, int]:
    chosen = dict(asked)
    for role in ROLES:
        if role not in chosen and role not in declined:
            fitting = serving(names, role, chosen.values())
            if len(fitting) > 1:
                # Of equals the first is taken, whose name is the better one.
                fitting = [min(fitting, key=lambda column: _misfit(role, looks_of(column_of(sample, column))))]
            if fitting:
                chosen[role] = fitting[0]
    missing = [what for role, what in (("user_id", "users"), ("item_id", "items")) if role not in chosen]
    if missing:
        raise InputError(
            f"{source}: cannot tell which column holds the {' and the '.join(missing)}; {_saw(names, len(names))}",
            hint=f"{_NAME_THE_COLUMNS}; a file without a header needs header=False (--no-header)",
        )
    return chosen


def _misfit(role: str, looks: Looks) -> int:
    """Return how little the cells of a column with a fitting name suit a role: the more, the worse."""
    if role == "timestamp":
        return looks.grain or (_NO_TIME if looks.is_numbers else 2 * _NO_TIME)
    return int(looks.dates if role != "rating" else not looks.is_numbers)


def _by_position(
    width: int,
    sample: Sequence[Sequence[str]],
    asked: Mapping[str, int],
    declined: Iterable[str],
    source: str,
) -> dict[str, int]:
    chosen = dict(asked)
    if "user_id" in asked and "item_id" in asked:
        return chosen
    if not 2 <= width <= 4:
        raise InputError(
            f"{source}: {_saw(None, width)}, so which hold users and items is not clear",
            hint=f"{_NAME_THE_COLUMNS}, by position, counted from 1",
        )
    looks = [looks_of(column_of(sample, column)) for column in range(width)]
    free = [column for column in range(width) if column not in chosen.values()]
    for role in ("user_id", "item_id"):
        if role not in chosen and free:
            chosen[role] = free.pop(0)
            if looks[chosen[role]].is_never_an_id:
                raise _contradiction(looks, f"column {chosen[role] + 1} should hold the {role}", source)
    if "item_id" not in chosen:
        raise InputError(f"{source}: no column is left for the items", hint=_NAME_THE_COLUMNS)
    times = [column for column in free if looks[column].times]
    if "timestamp" not in {*chosen, *declined}:
        if times:
            # Of two equally fine ones the later is the timestamp, as in the order that is usual.
            chosen["timestamp"] = min(reversed(times), key=lambda column: looks[column].grain or 0)
        elif len(free) == 2 and any(looks[column].first for column in free):
            raise _contradiction(looks, f"column {free[-1] + 1} should hold the timestamp", source)
    rest = [column for column in free if column not in {*chosen.values(), *times}]
    if "rating" not in {*chosen, *declined} and rest:
        chosen["rating"] = rest[0]
    return chosen


def _contradiction(looks: Sequence[Looks], expected: str, source: str) -> InputError:
    saw = ", ".join(f"{one.kind} such as {one.first!r} in column {place}" for place, one in enumerate(looks, start=1))
    return InputError(
        f"{source}: without names the order is user, item, rating, timestamp, so {expected}; saw {saw}",
        hint="say which columns hold what, by position, counted from 1: user_column, item_column, rating_column and "
        "timestamp_column (--user-column 1 …); what is not named then is not used",
    )


def _exchanged(sample: Sequence[Sequence[str]], roles: Mapping[str, int]) -> str:
    """Say how the first row was understood, and how to say that users and items are the other way round."""
    user, item = roles["user_id"], roles["item_id"]
    others = {**roles, "user_id": item, "item_id": user}
    options = " ".join(f"--{role.removesuffix('_id')}-column {column + 1}" for role, column in others.items())
    return (
        f"Without names the order was taken for user, item: the first row says that the user {sample[0][user]!r} has "
        f"the item {sample[0][item]!r}. If it is the other way round: {options}."
    )


def _saw(names: Sequence[str] | None, width: int) -> str:
    if names is None:
        return f"saw {width} column{'s' if width != 1 else ''} without names"
    more = f" and {width - _SHOWN} more" if width > _SHOWN else ""
    return "saw the columns " + ", ".join(repr(name) for name in names[:_SHOWN]) + more


def _describe(names: Sequence[str] | None, width: int, roles: Mapping[str, int], carried: Mapping[str, int]) -> str:
    def label(column: int) -> str:
        return repr(names[column]) if names is not None else f"column {column + 1}"

    chosen = ", ".join(f"{role} is {label(column)}" for role, column in roles.items())
    used = (*roles.values(), *carried.values())
    kept = ", ".join(label(column) for column in carried.values())
    left = ", ".join(label(column) for column in range(width) if column not in used)
    return f"Columns: {chosen}{f'; carried: {kept}' if kept else ''}{f'; not used: {left}' if left else ''}."
