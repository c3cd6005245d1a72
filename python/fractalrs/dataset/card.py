"""The data card: ``README.md`` of a data set, which hub libraries read for its splits."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fractalrs.base import Privacy
from fractalrs.dataset.manifest import AttributesEntry, Manifest
from fractalrs.dataset.plans import Plan
from fractalrs.expansion import operator_named, shuffle_named
from fractalrs.reading import MADE_UP
from fractalrs.words import SIDES

_HUB_LICENCE = re.compile(
    r"cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-[34]\.0|cc-by-nd-4\.0|cc-by-nc(-sa)?-[234]\.0|cc-by-nc-nd-[34]\.0"
    r"|odbl|odc-by|pddl|c-uda|cdla-sharing-1\.0|cdla-permissive-[12]\.0|apache-2\.0|mit"
)
"""Identifiers of the licences usual for data, among those that the hub takes; it calls all others ``other``."""


_HELD_OUT = {
    "last": "each user's latest interaction is test",
    "random": "one interaction of each user, chosen at random, is test",
    "time": "every interaction from a time on is test",
    "users": "all interactions of some users are test",
    "none": "nothing is held out",
}
_HUB_NAMES = {"valid": "validation"}
"""What hub libraries call splits, where it is something else."""
_GIVEN = "the test interactions were given"

_PLAIN_USE = """- Hiding who is in the source. Neither thinning nor a shuffle promises that: treat the data set as you
  would treat the source."""
_PRIVATE_USE = """- What the source has beside activity, popularity and a few directions of taste: noise hides rare
  items, small communities and what single users do."""

_LOADING = """## How to load it

```python
from datasets import load_dataset   # train and test as splits

rows = load_dataset(".")            # or its name on the hub

import polars as pl

train = pl.scan_parquet("train/*.parquet")

import duckdb

duckdb.sql("select count(*) from 'train/*.parquet'")

train = spark.read.parquet("train")
```
"""
_CITATION = """## Citation

```bibtex
@article{belletti2019fractal,
  title   = {Scalable Realistic Recommendation Datasets through Fractal Expansions},
  author  = {Belletti, Francois and Lakshmanan, Karthik and Krichene, Walid and Chen, Yi-Fan and Anderson, John},
  journal = {arXiv preprint arXiv:1901.08910},
  year    = {2019}
}
```

Cite the source too, as its terms ask.
"""


@dataclass(frozen=True)
class Published:
    """What the card of a data set that is given away says beside.

    Attributes
    ----------
    source_name, licence, licence_link
        Of the source, where they are given.
    made_up
        Whether the source is the built-in sample, or a world.
    recipe
        The page that makes it again, if one can: without the seed unless that is told.
    report
        A report of a validation, as `fractalrs.Report.to_dict` returns it.
    audit
        A report of an audit, as `fractalrs.AuditReport.to_dict` returns it.
    """

    source_name: str | None = None
    licence: str | None = None
    licence_link: str | None = None
    made_up: bool = False
    recipe: str | None = None
    report: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None


def _held_out(plan: Plan) -> str:
    count = (plan.recipe or {}).get("leave_out")
    text = f"each user's latest {count} interactions are test" if count else _HELD_OUT.get(plan.base.split, _GIVEN)
    return text + (", and about as much again is for validation" if plan.base.valid else "")


def data_card(plan: Plan, manifest: Manifest, published: Published | None = None) -> str:
    """Return the card of a finished data set: of one that stays at home, or of one that is given away."""
    told = published or Published(licence=plan.source_licence, made_up=_is_made_up(plan))
    base, options, totals = plan.base, plan.options, manifest.totals
    m, n = plan.user_multiplier, plan.item_multiplier
    shuffle = shuffle_named(options.shuffle)
    files = "**/*.parquet" if plan.partition else "*.parquet"
    splits = "\n".join(
        f"      - split: {_HUB_NAMES.get(split, split)}\n        path: {split}/{files}" for split in plan.splits
    )
    valid = f"| validation interactions | {totals['valid']:,} |\n" if "valid" in totals else ""
    shares = {"users": options.cold_users, "items": options.cold_items}
    cold = "".join(
        f"| cold {kind} | {share:g} of them have test interactions only |\n" for kind, share in shares.items() if share
    )
    named = "".join(f"| attributes | `{file.path}`: {file.rows:,} rows |\n" for file in manifest.attributes.values())
    title = f"{told.source_name or 'Expanded user/item interactions'} × ({m}, {n})"
    source = "made-up interactions" if told.made_up else told.source_name or "a real data set"
    parts = [
        f"""---
pretty_name: {json.dumps(title, ensure_ascii=False)}
{_licence_header(told.licence or ("made up" if told.made_up else None), told.licence_link)}
size_categories:
  - {size_category(totals["interactions"])}
task_categories:
  - other
source_datasets:
  - {_source_of(told)}
tags:
  - recommender-systems
  - synthetic
  - fractal-expansion
configs:
  - config_name: default
    data_files:
{splits}
---

# {title}

Made by fractalrs {plan.fractalrs} (generator {plan.generator}) from {source} of
{base.users:,} users and {base.items:,} items, {operator_named(options.operator).method} (*Scalable Realistic
Recommendation Datasets through Fractal Expansions*).{f" {MADE_UP}" if told.made_up else ""}

| | |
|---|---|
| profile, shuffle | `{plan.profile}`, `{shuffle.name}` |
| user ids | {m * base.users:,} |
| item ids | {n * base.items:,} |
| train interactions | {totals["train"]:,} |
{valid}| test interactions | {totals["test"]:,} |
| held out in the source | {_held_out(plan)} |
{_fit_row(plan.reduced)}{cold}| ids | {manifest.id_layout} |
| columns | {", ".join(f"`{column.name}` ({column.type})" for column in manifest.schema)} |
{named}{_dropped_text(plan.base.warnings)}""",
        _LOADING.replace("*.parquet", files),
        f"## Licence\n\n{_licence_text(told)}\n",
        f"""## What it is good for

This data set (shuffle `{shuffle.name}`) is for {shuffle.good_for}
""",
        f"""## What it is not good for

- {shuffle.not_good_for[0].upper()}{shuffle.not_good_for[1:]}
{_PRIVATE_USE if base.privacy else _PLAIN_USE}
- A new random split. Copies of one real interaction stand in many blocks: re-splitting the train set at random puts
  copies on both sides and leaks. Use the `train/` and `test/` that are here.
""",
        _privacy_text(plan.base.privacy),
        "" if published is None else _audit_text(told.audit, plan.base.privacy),
        _report_text(told.report),
        _HOME if published is None else _recipe_text(told.recipe),
        _attributes_text(manifest.attributes),
        _CITATION,
    ]
    return "\n".join(part for part in parts if part)


_HOME = """## What stays at home

`private/` holds the seed and what is needed to undo every shuffle, and the real degrees of the source. `fractalrs
publish` makes the folder that can be given away, without it. Make such a data set with a random 64-bit seed: a small
one, such as the default 0, can be guessed, and the shuffles undone.
"""


def _is_made_up(plan: Plan) -> bool:
    return plan.division.made_up


def _source_of(told: Published) -> str:
    """Return the source as the hub names it: not on the hub itself, as far as is known."""
    if told.made_up:
        return "original"
    slug = re.sub(r"[^a-z0-9]+", "-", (told.source_name or "").lower()).strip("-")
    return f"extended|other-{slug or 'interactions'}"


def _recipe_text(page: str | None) -> str:
    if page is None:
        return ""
    # Matrices are written with backticks too.
    said = "Save this page as `recipe.toml`; its first lines say how to use it."
    return f"## Recipe\n\n{said}\n\n`````toml\n{page}\n`````\n"


def _report_text(report: Mapping[str, Any] | None) -> str:
    """Show the metrics that have a threshold."""
    if report is None:
        return ""
    failures = ", ".join(report["failures"])
    rows = "".join(
        f"| {one['name']} | {_short(one['real'])} | {_short(one['synthetic'])} | {_short(one['distance'])} | "
        f"{'yes' if one['holds'] else 'no'} |\n"
        for one in report["metrics"]
        if one["holds"] is not None
    )
    verdict = f"These do not hold: {failures}." if failures else "All that was checked holds."
    return (
        f"## How realistic it is\n\nBy `fractalrs validate`. {verdict}\n\n| | real | synthetic | distance | holds |\n"
        f"|---|---|---|---|---|\n{rows}"
    )


def _privacy_text(privacy: Privacy | None) -> str:
    """Say what is promised of the people in the source, and the account of it."""
    if privacy is None:
        return ""
    rows = "".join(
        f"| {query.name} | {query.numbers:,} | {query.sensitivity:.6g} | {query.noise:.6g} | {query.rho:.4g} | "
        f"{query.rho / privacy.rho:.1%} |\n"
        for query in privacy.ledger
    )
    whom, one = ("whole users", "user") if privacy.unit == "user" else ("single interactions", "interaction")
    failing = sum(query.delta for query in privacy.ledger)
    catalogue = (
        "Which items there are was asked too: those whose noisy counts are above a threshold; "
        f"the chance that one {one} alone brought one is at most {failing:.2g}, of δ"
        if failing
        else "The list of items is assumed to be public"
    )
    return f"""## Privacy

Made of a private base: what is written here is ({privacy.epsilon:.4g}, {privacy.delta:g})-differentially private at the
level of {whom}, however much is expanded from it. Another base of the same source costs its own ε. {catalogue}. The
number of users is assumed to be large enough and below 1/δ. Noise and account are opendp's: discrete Gaussians,
composed in zero-concentrated differential privacy.

| asked of the source | numbers | sensitivity | noise | ρ | of the budget |
|---|---|---|---|---|---|
{rows}| all | | | | {privacy.rho:.4g} | 100% |
"""


def _audit_text(audit: Mapping[str, Any] | None, privacy: Privacy | None) -> str:
    """Say what attackers with the output alone found, or that nobody looked."""
    if audit is None:
        untold = "No audit was made: nobody has tried to find the people in this data set who were in its source."
        return "" if privacy else f"## Who is in it\n\n{untold}\n"
    rows = "".join(
        f"| {one['attack']} | {one['known']:.0%} | {one['members']['count']:,} of {one['members']['of']:,} | "
        f"{one['controls']['count']:,} of {one['controls']['of']:,} |\n"
        for one in audit["findings"]
        if one["attacker"] == "output" and one["group"] == "everybody"
    )
    return f"""## Who is in it

By `fractalrs audit`: {audit["verdict"]}. Members are people in the source, controls are people who were held out of it.
An attacker who has this data set alone, and the stated share of everybody's real history, claims to have found:

| attack | known | members | controls |
|---|---|---|---|
{rows}
Not tried: {"; ".join(audit["not_tried"])}.
"""


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


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


def _licence_header(licence: str | None, link: str | None) -> str:
    # The hub takes identifiers only, for the licences of its list and for others.
    name = re.sub(r"[^a-z0-9.]+", "-", (licence or "").lower()).strip("-.") or "that-of-the-source"
    # Quoted, or YAML would take some names for numbers or truth values.
    header = f"license: {name}" if _HUB_LICENCE.fullmatch(name) else f'license: other\nlicense_name: "{name}"'
    return header if link is None else f"{header}\nlicense_link: {json.dumps(link)}"


def _licence_text(told: Published) -> str:
    if told.made_up and told.licence is None:
        return "The source is made up by fractalrs, and nobody has rights in it."
    begin = "The interactions are derived from the source's: the licence and the terms of the source apply. "
    if told.licence is None and told.licence_link is None:
        return f"{begin}Name them here before\nyou pass this data set on."
    given = told.licence or "see the link"
    link = "" if told.licence_link is None else f"\n>\n> <{told.licence_link}>"
    return f"{begin}The licence was given\nas\n\n> {given}{link}"


def _attributes_text(attributes: Mapping[str, AttributesEntry]) -> str:
    if not attributes:
        return ""
    files = " and ".join(f"`{file.path}`" for file in attributes.values())
    return f"""## Attributes

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
