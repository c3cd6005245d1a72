"""The data card: ``README.md`` of a data set, which hub libraries read for its splits."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fractalrs.dataset.manifest import AttributesEntry, Manifest
from fractalrs.dataset.plans import Plan
from fractalrs.expansion import operator_named, shuffle_named
from fractalrs.words import SIDES

_HUB_LICENCE = re.compile(
    r"cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-[34]\.0|cc-by-nd-4\.0|cc-by-nc(-sa)?-[234]\.0|cc-by-nc-nd-[34]\.0"
    r"|odbl|odc-by|pddl|c-uda|cdla-sharing-1\.0|cdla-permissive-[12]\.0|apache-2\.0|mit"
)
"""Identifiers of the licences usual for data, among those that the hub takes; it calls all others ``other``."""


_HELD_OUT = {
    "last": "each user's latest interaction is test",
    "random": "one interaction of each user, chosen at random, is test",
    "none": "nothing is held out",
}
_GIVEN = "the test interactions were given"


def data_card(plan: Plan, manifest: Manifest) -> str:
    """Return the card of a finished data set."""
    base, options, totals, licence = plan.base, plan.options, manifest.totals, plan.source_licence
    m, n = plan.user_multiplier, plan.item_multiplier
    shuffle = shuffle_named(options.shuffle)
    splits = "\n".join(f"      - split: {split}\n        path: {split}/*.parquet" for split in plan.splits)
    shares = {"users": options.cold_users, "items": options.cold_items}
    cold = "".join(
        f"| cold {kind} | {share:g} of them have test interactions only |\n" for kind, share in shares.items() if share
    )
    named = "".join(f"| attributes | `{file.path}`: {file.rows:,} rows |\n" for file in manifest.attributes.values())
    return f"""---
pretty_name: Expanded user/item interactions × ({m}, {n})
{_licence_header(licence)}
size_categories:
  - {size_category(totals["interactions"])}
tags:
  - recommender-systems
  - synthetic
  - fractal-expansion
configs:
  - config_name: default
    data_files:
{splits}
---

# Expanded user/item interactions × ({m}, {n})

Made by fractalrs {plan.fractalrs} (generator {plan.generator}) from a real data set of
{base.users:,} users and {base.items:,} items, {operator_named(options.operator).method} (*Scalable Realistic
Recommendation Datasets through Fractal Expansions*).

| | |
|---|---|
| profile, shuffle | `{plan.profile}`, `{shuffle.name}` |
| user ids | {m * base.users:,} |
| item ids | {n * base.items:,} |
| train interactions | {totals["train"]:,} |
| test interactions | {totals["test"]:,} |
| held out in the source | {_HELD_OUT.get(base.split, _GIVEN)} |
{_fit_row(plan.reduced)}{cold}| ids | {manifest.id_layout} |
| columns | {", ".join(f"`{column.name}` ({column.type})" for column in manifest.schema)} |
{named}{_dropped_text(plan.base.warnings)}
## Licence

The interactions are derived from the source's: the licence and the terms of the source apply. {_licence_text(licence)}

## What it is good for

This data set (shuffle `{shuffle.name}`) is for {shuffle.good_for}

## What it is not good for

- {shuffle.not_good_for[0].upper()}{shuffle.not_good_for[1:]}
- Anonymity. Thinning is not anonymisation, no shuffle is either: treat the data set as you would treat the source.
- A new random split. Copies of one real interaction stand in many blocks: re-splitting the train set at random puts
  copies on both sides and leaks. Use the `train/` and `test/` that are here.

## What stays at home

`private/` holds the seed and what is needed to undo every shuffle, and the real degrees of the source. Leave the folder
out when you give the data set away; `train/`, `test/`, `manifest.json` and this card are complete without it. Make such
a data set with a random 64-bit seed: a small one, such as the default 0, can be guessed, and the shuffles undone.
{_attributes_text(manifest.attributes)}"""


def _dropped_text(warnings: Sequence[str]) -> str:
    """Say what of the source is not in its base."""
    lines = "".join(f"- {warning}\n" for warning in warnings)
    return f"\n## What was dropped\n\n{lines}" if lines else ""


def _fit_row(reduced: Mapping[str, Any]) -> str:
    """Say what the fit expects: not the source's own statistics, which stay at home."""
    if "fit" not in reduced:
        return ""
    fit, ratios = reduced["fit"], reduced["fit"]["singular_ratios"]
    users, items = (fit[f"gini_of_{side}"]["expected"] for side in SIDES)
    return (
        f"| expected, by the fit | Gini coefficients of degrees: users {users:.3f}, items {items:.3f}; singular values "
        f"2 to 16 over the first within {ratios['median of 16']:.0%} of the source's in the median |\n"
    )


def _licence_header(licence: str | None) -> str:
    # The hub takes identifiers only, for the licences of its list and for others.
    name = re.sub(r"[^a-z0-9.]+", "-", (licence or "").lower()).strip("-.") or "that-of-the-source"
    # Quoted, or YAML would take some names for numbers or truth values.
    return f"license: {name}" if _HUB_LICENCE.fullmatch(name) else f'license: other\nlicense_name: "{name}"'


def _licence_text(licence: str | None) -> str:
    if licence is None:
        return "Name them here before\nyou pass this data set on."
    return f"The licence was given\nas\n\n> {licence}"


def _attributes_text(attributes: Mapping[str, AttributesEntry]) -> str:
    if not attributes:
        return ""
    files = " and ".join(f"`{file.path}`" for file in attributes.values())
    return f"""
The source's own id stands beside every expanded one in {files}: that undoes its renaming, without the seed. Leave the
columns `source_…_id` out too where that is nobody's business, or the files: attributes alone may tell as much.
"""


def size_category(rows: int) -> str:
    """Return the hub's size class of a number of rows."""
    if rows < 1_000:
        return "n<1K"
    names = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    power = min(len(str(rows)) - 4, len(names) - 1)
    return "n>1T" if power == len(names) - 1 else f"{names[power]}<n<{names[power + 1]}"
