"""The generator as `docs/generator.md` specifies it, in NumPy: slow, short, and written from that page alone.

Integers are uint64 and wrap at 2⁶⁴, which NumPy does silently for arrays and with a warning for scalars.
"""

from dataclasses import dataclass
from functools import reduce
from math import isqrt
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fractalrs.base import Base
    from fractalrs.expansion import Cells

Words = npt.NDArray[Any]
"""uint64: an operation with a Python integer stays so, which NumPy's stubs do not know."""
Integers = npt.NDArray[np.int64]
Interactions = npt.NDArray[np.void]
"""Of the type `INTERACTION`."""

LOW = 0xFFFFFFFF
GOLDEN, STIR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
BLOCK, KEEP, ROW, COLUMN, USER, ITEM, TEST, TIME, COLD_USER, COLD_ITEM, SKETCH, LAST_BITS, NEGATIVE, LOADING, MIX = (
    range(15)
)
CLOCK, NUMBER = 15, 17
"""The purposes: x in root/x."""

INTERACTION = np.dtype(
    [(name, np.int64) for name in ("user", "item", "split", "source", "block", "time", "number")]
    + [("rating", np.float64)]
)
"""`split` is 0 for train, 1 for validation and 2 for test; `source` is the place of its entry in the base, `block` is s
and `number` is z of the page."""


@np.errstate(over="ignore")
def mix(z: Words) -> Words:
    z = (z ^ (z >> 30)) * STIR
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return np.asarray(z ^ (z >> 31))


@np.errstate(over="ignore")
def child(key: npt.ArrayLike, x: npt.ArrayLike) -> Words:
    return mix(np.asarray(key, np.uint64) + (np.asarray(x, np.uint64) + 1) * GOLDEN)


def root(seed: int) -> Words:
    return mix(np.asarray(seed ^ 0x6672616374616C73, np.uint64))


def under(key: npt.ArrayLike, *path: npt.ArrayLike) -> Words:
    """The key written key/x/y/… on the page."""
    return np.asarray(reduce(child, path, key), np.uint64)


def below(share: float, words: Words) -> npt.NDArray[np.bool_]:
    """Which words are below ⌊share·2⁶⁴⌋."""
    return words < int(share * 2.0**64)


def bounded(w: Words, c: int | Words) -> Words:
    """⌊w·c / 2⁶⁴⌋, from the products of halves: none of these sums wraps."""
    middle = (w >> 32) * (c & LOW) + ((w & LOW) * (c & LOW) >> 32)
    other = (w & LOW) * (c >> 32) + (middle & LOW)
    return np.asarray((w >> 32) * (c >> 32) + (middle >> 32) + (other >> 32))


def thresholds(rate: float) -> Words:
    """T[0 … 255], in units of 2⁻⁴⁸."""
    first = int((1.0 - rate) * 2.0**64)
    s = [first]
    while len(s) < 256:
        s.append(s[-1] * first >> 64)
    return np.array([(value + 2**15) >> 16 for value in s], np.uint64)


def gaps(table: Words, x: npt.ArrayLike) -> Integers:
    """How many thresholds each number of 48 bits is below."""
    return 256 - np.searchsorted(table[::-1], x, side="right").astype(np.int64)


def permutations(keys: npt.ArrayLike, c: int, of: npt.ArrayLike | None = None) -> Integers:
    """One permutation of 0 … c − 1 per key: shape (keys, c), the image of x in column x; or of some x where c > 64."""
    keys = np.asarray(keys, np.uint64).reshape(-1, 1)
    every = np.arange(len(keys))
    image = np.tile(np.arange(c, dtype=np.uint64) if of is None else np.asarray(of, np.uint64), (len(keys), 1))
    if c <= 64:
        assert of is None
        w = keys[:, 0]
        for done, t in enumerate(range(c - 1, 0, -1)):
            if done % 4 == 0 and done > 0:
                w = child(keys[:, 0], done // 4)
            other = bounded(w, t + 1)
            image[every, t], image[every, other] = image[every, other], image[every, t]
            w = w * (t + 1)
        # So far it says who stands at each place.
        return np.argsort(image, axis=1)
    b = isqrt(c - 1) + 1
    a = -(-c // b)
    walking = np.ones(image.shape, bool)
    while walking.any():
        left, right = np.divmod(image[walking], b)
        key = np.broadcast_to(keys, image.shape)[walking]
        for k in range(8):
            g = child(key, k)
            if k % 2 == 0:
                left = (left + bounded(child(g, right), a)) % a
            else:
                right = (right + bounded(child(g, left), b)) % b
        image[walking] = left * b + right
        walking = image >= c
    return image.astype(np.int64)


def shuffling(key: npt.ArrayLike, count: int) -> Integers:
    """The order in which rows are loaded."""
    number = 1
    while number * 32_768 < count and number < 1_024:
        number *= 2
    bits = number.bit_length() - 1
    of_word = 64 // bits if bits else 64
    words = under(key, 0, np.arange(-(-count // of_word)))
    shifts = np.arange(of_word, dtype=np.uint64) * np.uint64(bits)
    buckets = ((words[:, None] >> shifts) & np.uint64(number - 1)).ravel()[:count]
    order = []
    for bucket in range(number):
        rows = np.flatnonzero(buckets == bucket)
        for pair in range(0, len(rows) - 1, 2):
            word = int(under(key, 1, bucket, pair // 2))
            for last in range(len(rows) - 1 - pair, max(0, len(rows) - 3 - pair), -1):
                other = (word * (last + 1)) >> 64
                word = (word * (last + 1)) % 2**64
                rows[[last, other]] = rows[[other, last]]
        order.append(rows)
    return np.concatenate(order)


def permutation(key: npt.ArrayLike, c: int) -> Integers:
    image: Integers = permutations(key, c)[0]
    return image


def exchange(key: npt.ArrayLike, starts: Integers) -> Integers:
    """Slot after the exchange inside its cell, for every slot; `key` is U/i/j or I/i/j."""
    sizes = np.diff(starts)
    image = np.empty(starts[-1], np.int64)
    for size in np.unique(sizes):
        g = np.flatnonzero(sizes == size)
        first = starts[g][:, None]
        image[first + np.arange(size)] = first + permutations(child(key, g), int(size))
    return image


def mixed(key: npt.ArrayLike, base: "Base", split: Integers, order: Integers, starts: Integers) -> Integers:
    """Row of each entry of the base once every user cell's are dealt out; `key` is the root."""
    slot = inverse(order)[np.repeat(np.arange(base.shape[0]), np.diff(base.indptr))]
    cell = np.searchsorted(starts, slot, side="right") - 1
    items = base.indices.astype(np.int64)
    arranged = np.lexsort((slot, split, items, cell))
    cell, items, sizes = cell[arranged], items[arranged], np.diff(starts)[cell[arranged]]
    number, _ = within_groups(cell, items)
    row = np.empty(base.count, np.int64)
    for size in np.unique(sizes):
        here = np.flatnonzero(sizes == size)
        images = permutations(under(key, MIX, cell[here], items[here]), int(size))
        offset = images[np.arange(len(here)), number[here].astype(np.int64)]
        row[arranged[here]] = order[starts[cell[here]] + offset]
    return row


def draws(key: npt.ArrayLike, i: int, j: int, rows: Integers, n: int) -> Words:
    """The numbers xₙ of rows in block (i, j); `key` is the root."""
    t, quarter = divmod(n, 4)
    high = (under(key, KEEP, i, j, (t << 32) + rows) >> 16 * quarter) & 0xFFFF
    return np.asarray((high << 32) | (under(key, LAST_BITS, i, j, (n << 32) + rows) & LOW))


def keeps(key: npt.ArrayLike, i: int, j: int, rate: float, indptr: Integers) -> npt.NDArray[np.bool_]:
    """Whether block (i, j) keeps the entry at each place of the base's rows; `key` is the root."""
    table = thresholds(rate)
    position, end = indptr[:-1].copy(), indptr[1:]
    keep = np.zeros(indptr[-1], bool)
    running, n = np.flatnonzero(position < end), 0
    while len(running):
        gap = gaps(table, draws(key, i, j, running, n))
        position[running] += gap
        hit = running[(gap < 256) & (position[running] < end[running])]
        keep[position[hit]] = True
        position[hit] += 1
        running, n = running[position[running] < end[running]], n + 1
    return keep


def inverse(image: Integers) -> Integers:
    """Where each value stands."""
    return np.argsort(image, kind="stable")


@dataclass(frozen=True)
class Week:
    """People's activity over the hours of the week."""

    hour: int
    rate: Words
    before: Words
    """C[0 … 168]"""

    @classmethod
    def of(cls, times: Words, hour: int) -> Self:
        count = np.bincount((times // hour % 168).astype(np.int64), minlength=168)
        rate = np.clip(count * 168 * 2**12 // max(len(times), 1), 2**6, 2**18).astype(np.uint64)
        return cls(hour, rate, np.append(np.uint64(0), np.cumsum(hour * rate >> 12)))

    def activity(self, t: Words) -> Words:
        """W(t)"""
        weeks, h = np.divmod(t // self.hour, 168)
        return np.asarray(weeks * self.before[168] + self.before[h] + (t % self.hour * self.rate[h] >> 12))

    def time(self, w: Words) -> Words:
        """W⁻¹(w)"""
        week, rest = np.divmod(w, self.before[168])
        h = (np.searchsorted(self.before, rest, side="right") - 1).astype(np.uint64)
        within = (rest - self.before[h]) * (2**24 // self.rate[h]) >> 12
        return np.asarray((168 * week + h) * self.hour + np.minimum(within, self.hour - 1))


@dataclass(frozen=True)
class Timelines:
    """The timelines of the source users: four arrays have a value per entry, three one per user."""

    times: Words
    late: Integers
    """0 where not, 1 of those for validation, 2 of those for test."""
    place: Words
    floor: Words
    d: Words
    room: Words
    starts: Integers
    """Where t[0 … d] begin in `t`."""
    t: Words
    week: Week | None
    end_of_valid: int
    shifts: Words
    """By turn, split and source user."""

    @classmethod
    def of(
        cls,
        base: "Base",
        rows: Integers,
        times: Integers,
        late: Integers,
        hour: int | None,
        cuts: tuple[int, ...],
        row_blocks: int,
    ) -> Self:
        """`rows` has the entry of the base at each place of the rows."""
        day = 24 * hour if hour else 2**63
        first = np.full(base.shape[1], 2**63 - 1)
        np.minimum.at(first, base.indices[late == 0], times[late == 0])
        place, floor, room = np.zeros(base.count, int), np.zeros(base.count, int), np.zeros(base.shape[0], int)
        lines = []
        for u in range(base.shape[0]):
            entries = rows[base.indptr[u] : base.indptr[u + 1]]
            place[entries] = np.arange(len(entries))
            on, after = entries[late[entries] == 0], entries[late[entries] > 0]
            t = times[on].tolist()
            floor[on] = np.searchsorted(t, np.maximum.accumulate(first[base.indices[on]]))
            end = mean_gap = (t[-1] - t[0]) // max(len(t) - 1, 1) if t else 0
            if t and len(after):
                gap = int(times[after[0]]) - t[-1]
                room[u] = min(gap, day)
                end = t[-1] + min(gap, mean_gap if len(t) > 1 else day)
            elif t:
                end = t[-1] + min(mean_gap, day)
            if t and cuts:
                end = t[-1] + min(cuts[0] - 1 - t[-1], mean_gap if len(t) > 1 else day, day)
            elif cuts and len(after) > 1:
                room[u] = min(int(times[after[-1]] - times[after[0]]) // (len(after) - 1), day)
            lines.append([*t, end])
        lengths = np.array([len(line) for line in lines])
        place, floor, room, d, t = (
            np.array(array, np.uint64)
            for array in (place, floor, room, lengths - 1, [t for line in lines for t in line])
        )
        times = times.astype(np.uint64)
        week = Week.of(times[late == 0], hour) if hour else None
        end_of_valid = max(cuts[-1] - 1, 0) if cuts else 2**63 - 1
        on_time, seven_days = times[late == 0].tolist(), 168 * hour if hour else 7
        span = (max(on_time) - min(on_time)) // seven_days if on_time else 0
        weeks = max(-(-span // 20), min(8, -(-span // 3)), 1)
        room_for = [[weeks] * base.shape[0] for _ in range(3)]
        for u in range(base.shape[0]):
            entries = rows[base.indptr[u] : base.indptr[u + 1]]
            if on_time and len(entries):
                lead = max(0, int(times[entries[0]]) - min(on_time)) // 3
                for rooms in room_for:
                    rooms[u] = min(weeks, lead // seven_days + 1)
            if not cuts:
                continue
            last_valid = max(times[entries[late[entries] == 1]].tolist(), default=0)
            room_for[0][u] = min(room_for[0][u], (cuts[0] - 1 - lines[u][-1]) // seven_days + 1)
            room_for[1][u] = min(room_for[1][u], (cuts[-1] - 1 - last_valid) // seven_days + 1)
        starts = np.cumsum(lengths) - lengths
        count = min(4, row_blocks)
        shifts = [
            [[turn * room // count * seven_days for room in rooms] for rooms in room_for] for turn in range(count)
        ]
        return cls(
            times, late, place, floor, d, room, starts, t, week, end_of_valid, np.array(shifts).astype(np.uint64)
        )

    def move(
        self, events: Interactions, key: Words, anchor: Integers, rates: npt.NDArray[np.float64], turn: int
    ) -> None:
        """Give the events of a row block, sorted by user, their times and numbers; `key` is Z/i."""
        row, s, source = events["user"] % len(anchor), events["block"], events["source"]
        a = child(key, anchor)
        units = [int(rate * 2.0**32) for rate in rates.tolist()]
        share = np.array([max(1, (unit << 32) // sum(units)) for unit in units], np.uint64)
        blocks = permutations(child(a, 0), len(rates))
        begin = np.empty(blocks.shape, np.uint64)
        np.put_along_axis(begin, blocks, np.cumsum(share[blocks], axis=1) - share[blocks], axis=1)

        # Of late events only the place counts here.
        k, rank, d = self.place[source], self.late[source], np.maximum(self.d[anchor[row]], 1)
        late = rank > 0
        part = (2 * k + 1) * (2**32 // (2 * d))
        pace = np.minimum(begin[row, s] + (share[s] * part >> 32), 2**32 - 1)
        reach = (3 * d + 7) // 8
        earliest, latest = np.maximum(self.floor[source], np.maximum(k, reach) - reach), np.minimum(d, k + reach)
        position = np.where(late, self.times[source], earliest * 2**32 + pace * (latest - earliest))
        _, count = within_groups(row)
        fine = np.minimum(16, np.log2(np.maximum(1, count // d)).astype(np.uint64))
        bucket = np.where(late, position, position >> (32 - fine))
        arranged = np.lexsort((k, s, np.where(late, begin[row, s], 0), bucket, rank, row))

        stretch = np.where(late, LOW, position >> 32)[arranged]
        row, source, late, rank = row[arranged], source[arranged], late[arranged], rank[arranged]
        z, _ = within_groups(row)
        x, c = within_groups(row, stretch)
        h = child(a, 1)[row] + (z + 1) * GOLDEN
        v = (h ^ (h >> 32)) * STIR >> 32
        f = (x * 2**32 + 2**30 + v // 2) * (2**32 // c)
        at = self.starts[anchor[row]] + np.where(late, 0, stretch).astype(np.int64)
        start = np.where(late, self.times[source], self.t[at])
        end = np.where(late, start + self.room[anchor[row]], self.t[np.where(late, at, at + 1)])
        time = start + bounded(f, end - start)
        if self.week is not None:
            by_week = ~late & (end - start > self.week.hour)
            start, end, f = start[by_week], end[by_week], f[by_week]
            w, w_end = self.week.activity(start), self.week.activity(end)
            time[by_week] = np.clip(self.week.time(w + bounded(f, w_end - w)), start, end)
        time += self.shifts[turn % len(self.shifts), rank, anchor[row]]
        time[rank == 1] = np.minimum(time[rank == 1], self.end_of_valid)
        events["number"][arranged], events["time"][arranged] = z, time


def within_groups(*columns: npt.NDArray[Any]) -> tuple[Words, Words]:
    """Number of each row among the neighbours that are equal to it, and how many these are."""
    new = np.ones(len(columns[0]), bool)
    new[1:] = reduce(np.logical_or, (column[1:] != column[:-1] for column in columns))
    starts = np.flatnonzero(new)
    counts = np.diff(starts, append=len(new))
    x = np.arange(len(new)) - np.repeat(starts, counts)
    return x.astype(np.uint64), np.repeat(counts, counts).astype(np.uint64)


def numbers(
    key: Words, base: "Base", keep_rates: npt.NDArray[np.float64], cells: "Cells", shuffle: str, block_keep: float
) -> Integers:
    """Ids of all places in the order of popularity; `key` is the root."""
    (_, q), (m, n) = base.shape, keep_rates.shape
    order, starts = cells.item_order.astype(np.int64), cells.item_starts.astype(np.int64)
    sums = np.zeros(n)
    for i in range(m):
        exists = below(block_keep, under(key, BLOCK, i, np.arange(n))) | (block_keep == 1)
        sums += np.where(exists, keep_rates[i], 0.0)
    degrees = np.bincount(base.indices[base.mask("train")], minlength=q)
    mean = np.repeat(np.add.reduceat(degrees[order], starts[:-1]) / np.diff(starts), np.diff(starts))
    rank = inverse(np.argsort(-mean, kind="stable"))
    level = (sums[:, None] * mean).view(np.int64) >> 47
    blocks, slots = np.divmod(np.arange(n * q), q)
    arranged = np.lexsort((rank[slots], blocks, -level.ravel()))
    columns = [order if shuffle == "none" else permutation(under(key, COLUMN, j), q) for j in range(n)]
    return inverse((blocks * q + np.concatenate(columns))[arranged])


def some_numbers(
    key: Words, base: "Base", keep_rates: npt.NDArray[np.float64], cells: "Cells", places: Integers
) -> Integers:
    """What `numbers` has at some places where all blocks exist and columns are permuted: by counting, of any number."""
    q = base.shape[1]
    order, starts = cells.item_order.astype(np.int64), cells.item_starts.astype(np.int64)
    degrees = np.bincount(base.indices[base.mask("train")], minlength=q)
    mean = np.repeat(np.add.reduceat(degrees[order], starts[:-1]) / np.diff(starts), np.diff(starts))
    rank = inverse(np.argsort(-mean, kind="stable"))
    sums = np.zeros(keep_rates.shape[1])
    for rates in keep_rates:
        sums += rates
    means, counts = np.unique(mean, return_counts=True)
    levels = (sums[:, None] * means).view(np.int64) >> 47
    found = []
    for j, column in zip(*(part.tolist() for part in np.divmod(places, q)), strict=True):
        slot = int(np.flatnonzero(permutation(under(key, COLUMN, j), q) == column)[0])
        level = levels[j, np.searchsorted(means, mean[slot])]
        before = (levels > level).sum(axis=0) + (levels[:j] == level).sum(axis=0)
        found.append(int(before @ counts) + int(rank[slot]) - int(counts @ (levels[j] > level)))
    return np.array(found)


def pairs(interactions: Interactions) -> Integers:
    """Users and items alone, of shape (count, 2)."""
    return np.column_stack([interactions["user"], interactions["item"]])


def expand(
    base: "Base",
    keep_rates: npt.NDArray[np.float64],
    cells: "Cells",
    *,
    shuffle: str,
    seed: int,
    block_keep: float = 1.0,
    test_items: str = "all",
    drop_incomplete: bool = False,
    cold_users: float = 0.0,
    cold_items: float = 0.0,
    order: str = "block",
    id_order: str = "block",
    times: Integers | None = None,
    late: bool = False,
    hour: int | None = None,
    cuts: tuple[int, ...] = (),
    factors: npt.NDArray[np.float64] | None = None,
    ratings: npt.NDArray[np.float64] | None = None,
) -> tuple[Interactions, Interactions, Interactions]:
    """Expand it all: the train, the validation and the test interactions.

    `times` and `ratings` have a value per entry of the base, test entries are late or not, and `factors` is R̂. What is
    not given comes out as 0.
    """
    p, q = base.shape
    row_of = np.repeat(np.arange(p), np.diff(base.indptr))
    user_order, user_starts, item_order, item_starts = (
        np.asarray(array).astype(np.int64)
        for array in (cells.user_order, cells.user_starts, cells.item_order, cells.item_starts)
    )
    # The entry of the base at each place of the rows: the base has them by item code.
    entries, timelines, split = np.arange(base.count), None, base.mask("valid") + 2 * base.mask("test").astype(int)
    if times is not None:
        entries = np.lexsort((base.indices, times, split * late, row_of))
        timelines = Timelines.of(base, entries, times, split * late, hour, cuts, len(keep_rates))
    key, indptr = root(seed), base.indptr
    if shuffle == "mixed" and times is None:
        row_of = mixed(key, base, split, user_order, user_starts)
        entries = np.lexsort((base.indices, row_of))
        indptr = np.append(0, np.cumsum(np.bincount(row_of, minlength=p)))
    row_blocks = [np.empty(0, INTERACTION)]
    for i, rates in enumerate(keep_rates):
        there = np.flatnonzero(rates)
        if block_keep < 1:
            there = there[below(block_keep, under(key, BLOCK, i, there))]
        if len(there) == 0:
            continue
        slots = anchor = np.arange(p)
        if shuffle != "none":
            slots = permutation(under(key, ROW, i), p)
            anchor = user_order[slots]
        blocks = []
        for s, j in enumerate(there.tolist()):
            kept = entries[keeps(key, i, j, rates[j], indptr)]
            source_row, column = np.arange(p), np.arange(q)
            if shuffle != "none":
                source_row = user_order[exchange(under(key, USER, i, j), user_starts)[slots]]
                place = exchange(under(key, ITEM, i, j), item_starts)[inverse(item_order)]
                column = permutation(under(key, COLUMN, j), q)[place]
            block = np.zeros(len(kept), INTERACTION)
            block["user"] = i * p + inverse(source_row)[row_of[kept]]
            block["item"] = j * q + column[base.indices[kept]]
            cold = below(cold_users, under(key, COLD_USER, block["user"]))
            cold |= below(cold_items, under(key, COLD_ITEM, block["item"]))
            block["split"] = np.where(cold, 2, split[kept])
            block["source"], block["block"] = kept, s
            if factors is not None and ratings is not None:
                block["rating"] = factors[i, j] * ratings[kept]
            blocks.append(block)
        rows = np.concatenate(blocks)
        rows = rows[np.argsort(rows["user"], kind="stable")]
        if test_items == "one":
            test = np.flatnonzero(rows["split"])
            number, count = within_groups(rows["user"][test])
            chosen = bounded(under(key, TEST, i, anchor[rows["user"][test] % p]), count)
            rows = np.delete(rows, test[number != chosen])
        if timelines is not None:
            turn = int(permutation(under(key, CLOCK), len(keep_rates))[i])
            timelines.move(rows, under(key, TIME, i), anchor, rates[there], turn)
        row_blocks.append(rows)

    rows = np.concatenate(row_blocks)
    if id_order == "scrambled":
        rows["item"] = permutation(under(key, NUMBER), keep_rates.shape[1] * q)[rows["item"]]
    if id_order == "popularity":
        rows["item"] = numbers(key, base, keep_rates, cells, shuffle, block_keep)[rows["item"]]
    train, valid, test = (rows[rows["split"] == number] for number in range(3))
    if drop_incomplete:
        complete = np.intersect1d(train["user"], test["user"])
        train, test = train[np.isin(train["user"], complete)], test[np.isin(test["user"], complete)]
    if order != "block":
        by = {"item": "item", "time": "number"}[order]
        train, valid, test = (part[np.lexsort((part[by], part["user"]))] for part in (train, valid, test))
    return train, valid, test
