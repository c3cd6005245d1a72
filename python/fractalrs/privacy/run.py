"""The audit: attack an output with the histories of people who are in it, and of others who are not."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from fractalrs.base import Base
from fractalrs.dataset import Dataset, Folder, Plan, matrices_of, saved_base
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, shuffle_named
from fractalrs.privacy.attacks import (
    ATTACKERS,
    ATTACKS,
    FEWEST,
    MOST,
    Attack,
    Attacker,
    Output,
    People,
    as_base,
    attacks_on,
    check_enough,
)
from fractalrs.privacy.business import facts_of
from fractalrs.privacy.controls import controls_of
from fractalrs.privacy.rates import Advantage, Rate, area
from fractalrs.privacy.report import EVERYBODY, NOT_TRIED, AuditReport, Finding
from fractalrs.tools import (
    Progress,
    ProgressCallback,
    allowed_threads,
    as_progress,
    check_count,
    check_word,
    resolve_threads,
    suggests,
)

MOST_ADVANTAGE = 0.02
"""Above this share of members, beyond that of controls, something is found."""

MOST_RELEASES = 16
"""Each is attacked whole, one after the other."""

logger = logging.getLogger(__name__)


@suggests
def audit(
    output: Expansion | Dataset,
    members: Any,
    controls: Any,
    *,
    attackers: Sequence[Attacker] = ("output", "columns", "seed"),
    known: Sequence[float] = (1.0, 0.5),
    most_advantage: float = MOST_ADVANTAGE,
    releases: int = 1,
    most: int = MOST,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Progress = False,
) -> AuditReport:
    """Try to find out from an output who it was made of, before it is given away.

    Attacks of three kinds are made on people whose real histories the attacker knows: members, of whom the output was
    made, and controls, without whom it was (`hold_users_out`). How much more often members are claimed is what the
    output gives away. Where not even a copy of the data is found out, the verdict is "not measured". An attacker may
    know more, or do better.

    Parameters
    ----------
    output
        An expansion, or a data set where it was made, with ``private/``.
    members, controls
        People in it and people who are not: `Interactions`, a `Base`, or anything that `read_interactions` takes.
    attackers
        Who attacks: with the ``"output"`` alone; knowing its ``"columns"`` too, as far as cells of items let one; or
        with the ``"seed"`` and all else in ``private/``.
    known
        Shares of a person's interactions that the attackers know, each above 0 and at most 1.
    most_advantage
        Members may be claimed more often than controls by at most so much, by an attacker with the output alone; else
        `AuditReport.holds` is false.
    releases
        Of the same people, with the seeds that follow: an attacker with the output has all of them. At most 16.
    most
        Of more people a sample is taken.
    seed
        Chooses the sample, and what is known.
    threads
        By default as many as this process may use.
    progress
        Show progress on stderr when that is a terminal, or by a `Progress` of your own.

    Returns
    -------
    AuditReport

    Raises
    ------
    InputError
        Before anything is attacked: if an argument cannot be used, people are too few for an interval, some are in
        both groups, or a data set was not made of the members (where it was made of a private base nobody can tell).

    Examples
    --------
    >>> import fractalrs as fr
    >>> members, controls = fr.hold_users_out(fr.sample_interactions(400, 150, 12_000), seed=1)
    >>> base = fr.leave_last_out(members)
    >>> expansion = fr.Expansion(base, [[0.2, 0.9]], profile="traceable")
    >>> report = fr.audit(expansion, members, controls, attackers=["output"], known=[1.0])
    >>> report.holds
    False
    """
    for attacker in attackers:
        check_word("attackers", attacker, tuple(ATTACKERS))
    _check_shares(known, most_advantage)
    _check_releases(releases)
    check_count("most", most, 2 * FEWEST)
    check_count("seed", seed)
    base, others = _bases(output, members, controls)
    expansion = _expansion_of(output, base) if isinstance(output, Dataset) else output
    target = Output(expansion, _made_of(expansion.base, base), _others(expansion, releases))
    people = People.of(base, others, most, seed)
    tried = list(_tried(attacks_on(target), attackers, known, base.shape[0]))
    with as_progress(progress).task("attacking", len(tried) + 2, len(tried) + 2) as report:
        return _audited(target, base, people, tried, most_advantage, seed, resolve_threads(threads), report)


def _bases(output: Expansion | Dataset, members: Any, controls: Any) -> tuple[Base, Base]:
    """Return both groups, split as the output is, with ratings where it has them."""
    too = ["rating"] if "rating" in output.schema.names else []
    base = _members_of(output, members) if isinstance(output, Dataset) else as_base("members", members, payload=too)
    others = as_base("controls", controls, base.split, payload=too)
    check_enough(base, others)
    return base, others


def _audited(
    target: Output,
    base: Base,
    people: People,
    tried: Sequence[tuple[Attack, float]],
    most_advantage: float,
    seed: int,
    threads: int,
    report: ProgressCallback,
) -> AuditReport:
    """Attack with all that is to be tried, the controls first."""
    watch, findings = _Watch(), list[Finding]()
    with allowed_threads(threads):
        with watch.of("controls"):
            outcomes = controls_of(base, people, seed, mixes=target.share_of_row < 1)
        for number, (attack, share) in enumerate(tried, 2):
            report(number, number)
            logger.info(f"attack: {attack.name}, by who {ATTACKERS[attack.attacker]}; {share:.0%} of histories known")
            with watch.of(attack.name):
                findings += _findings(attack, target, people, share, seed)
        facts = facts_of(target.expansion, base, threads)
    subject = _subject(target, base, people)
    of = target.expansion.fingerprint
    done = {attack.name for attack, _ in tried}
    left_out = {one.name for one in ATTACKS if one.attacker in {attack.attacker for attack, _ in tried}} - done
    not_tried = (*sorted(left_out), *NOT_TRIED)
    return AuditReport(of, subject, tuple(findings), outcomes, tuple(facts), most_advantage, not_tried, watch.taken)


class _Watch:
    """Adds up the time that is taken under each name."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.taken[name] = self.taken.get(name, 0.0) + time.monotonic() - started


def _tried(
    attacks: Sequence[Attack], attackers: Sequence[Attacker], known: Sequence[float], users: int
) -> Iterator[tuple[Attack, float]]:
    """Return what is tried: what knows whole histories first; some items of each are known whatever is known beside."""
    for share in sorted(set(known), reverse=True):
        for attack in attacks:
            once = attack.most is not None and share != max(known)
            too_many = attack.most_users is not None and users > attack.most_users
            if attack.attacker in attackers and not once and not too_many:
                yield attack, share


def _findings(attack: Attack, target: Output, people: People, share: float, seed: int) -> Iterator[Finding]:
    """Attack, and tell for everybody and for those at risk."""
    asked = people if attack.most is None else people.sample(attack.most, seed)
    claims = attack.run(target, asked.known(share, seed), share)
    groups = {EVERYBODY: np.ones(len(asked.is_member), bool)} | (asked.at_risk if attack.most is None else {})
    claimed, counts = claims.judged(asked.is_member)
    for group, members_of in groups.items():
        chosen = members_of & counts
        members = claimed & asked.is_member & chosen
        right = None if claims.right is None else Rate.counted(int((claims.right & members).sum()), int(members.sum()))
        yield Finding(
            attack.name,
            attack.attacker,
            attack.kind,
            share,
            group,
            Advantage.counted(claimed[chosen], asked.is_member[chosen]),
            right,
            None if claims.scores is None else area(claims.scores[chosen], asked.is_member[chosen]),
        )


def _plan_of(dataset: Dataset) -> Plan:
    plan = Folder.read(dataset.store).plan
    if plan is None:
        raise InputError(f"{dataset.place} has no private/plan.json", hint="audit it where it was made")
    return plan


def _members_of(dataset: Dataset, members: Any) -> Base:
    """Return members as the base of a data set; refuse others."""
    plan = _plan_of(dataset)
    if plan.base.privacy is not None:
        return as_base("members", members)
    split = {"seed": plan.options.seed, "payload": plan.options.payload}
    base = members if isinstance(members, Base) else as_base("members", members, plan.base.split, **split)
    if base.fingerprint != plan.base.fingerprint:
        raise InputError(
            f"{dataset.place} was not made of these members",
            hint="give those that it was made of, split as they were: a Base",
        )
    return base


def _expansion_of(dataset: Dataset, base: Base) -> Expansion:
    """Return the expansion that a data set was written from."""
    plan, store = _plan_of(dataset), dataset.store
    reduced, cells = matrices_of(store, plan)
    base = base if plan.base.privacy is None else saved_base(store)
    chosen = cells if shuffle_named(plan.options.shuffle).takes_cells else None
    return Expansion(base, reduced, profile=plan.profile, cells=chosen, **dataclasses.asdict(plan.options))


def _others(expansion: Expansion, releases: int) -> tuple[Expansion, ...]:
    """Return what the seeds that follow would make of the same."""
    cells = expansion.cells if shuffle_named(expansion.shuffle).takes_cells else None
    settings = dataclasses.asdict(expansion.options) | {"profile": expansion.profile, "cells": cells}
    return tuple(
        Expansion(expansion.base, expansion.reduced, **(settings | {"seed": (expansion.seed + more) % (1 << 64)}))
        for more in range(1, releases)
    )


def _made_of(base: Base, members: Base) -> bool:
    """Return whether rows of the output can be told to be members'."""
    return np.array_equal(base.indptr, members.indptr) and np.array_equal(base.entries, members.entries)


def _subject(target: Output, base: Base, people: People) -> dict[str, Any]:
    expansion, verified = target.expansion, target.is_source_known
    (m, n), options = expansion.reduced.shape, expansion.options
    rates: npt.NDArray[np.float64] = expansion.keep_rates
    return {
        "members": f"{int(people.is_member.sum()):,} of {base.shape[0]:,} users",
        **({} if verified else {"base": "not the members' own: that it was made of them is taken on trust"}),
        "controls": f"{int((~people.is_member).sum()):,}",
        **({"releases": len(target.releases)} if target.others else {}),
        "multipliers": f"{m} × {n}",
        "profile": expansion.profile,
        "shuffle": options.shuffle,
        "cells of at most": f"{expansion.cells.user_cell_size} users, {expansion.cells.item_cell_size} items",
        "largest keep rate": float(rates.max()),
        "mean keep rate": float(rates.mean()),
    }


def _check_shares(known: Sequence[float], most_advantage: float) -> None:
    for share in known:
        if not (isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1):
            raise InputError(f"known has {share!r}; shares are above 0 and at most 1", hint="half is 0.5")
    if not known:
        raise InputError("known is empty", hint="whole histories are 1.0")
    if not (isinstance(most_advantage, int | float) and 0 <= most_advantage < 1):
        raise InputError(f"most_advantage is {most_advantage!r}; it must be from 0 to below 1")


def _check_releases(releases: int) -> None:
    check_count("releases", releases, 1)
    if releases > MOST_RELEASES:
        raise InputError(
            f"releases is {releases}; at most {MOST_RELEASES} are attacked together",
            hint=f"{MOST_RELEASES} tell already how what is found grows with them",
        )
