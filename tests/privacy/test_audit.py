"""The audit: what is there is found, what is not is not, and where it cannot be told it says so."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import fractalrs as fr
from fractalrs.privacy.attacks import People, as_base
from fractalrs.privacy.attacks.blind import densest_block, relink, relinked_blocks
from fractalrs.privacy.attacks.output import Output
from fractalrs.privacy.attacks.seeded import rebuild, undone
from fractalrs.privacy.rates import Advantage, area


@pytest.fixture(scope="module")
def held() -> tuple[fr.Interactions, fr.Interactions]:
    return fr.hold_users_out(fr.sample_interactions(300, 220, 15_000, seed=3), seed=1)


@pytest.fixture(scope="module")
def base(held: tuple[fr.Interactions, fr.Interactions]) -> fr.Base:
    return fr.leave_last_out(held[0])


@pytest.fixture(scope="module")
def people(held: tuple[fr.Interactions, fr.Interactions], base: fr.Base) -> People:
    return People.of(base, as_base("controls", held[1]), 10_000, 0)


@pytest.fixture(scope="module")
def report(held: tuple[fr.Interactions, fr.Interactions], base: fr.Base) -> fr.AuditReport:
    return fr.audit(fr.Expansion(base, [[0.1, 0.9], [0.05, 0.2]], profile="traceable"), *held)


def advantage(output: Output, people: People) -> Advantage:
    return Advantage.counted(densest_block(output, people, 1.0).judged(people.is_member)[0], people.is_member)


@pytest.mark.parametrize("shuffle", ["none", "aligned", "cells", "block"])
def test_the_densest_block_gives_members_away_whatever_the_shuffle(base: fr.Base, people: People, shuffle: str) -> None:
    expansion = fr.Expansion(base, [[0.95, 0.3], [0.2, 0.1]], max_keep=0.95, shuffle=shuffle)
    claims = densest_block(Output(expansion, True), people, 1.0)
    found = Advantage.counted(claims.judged(people.is_member)[0], people.is_member)
    assert found.members.value >= 0.95
    assert found.controls.value <= 0.02
    assert claims.claimed is not None
    assert claims.right is not None
    assert claims.right[claims.claimed & people.is_member].mean() >= 0.99


def test_aligned_blocks_are_relinked_and_the_base_is_rebuilt(base: fr.Base, people: People) -> None:
    expansion = fr.Expansion(base, np.full((4, 4), 0.6), shuffle="aligned", max_keep=0.6)
    output = Output(expansion, True)
    linked = relink(output)
    own = output.users(linked.place)
    assert own is not None
    for place, links in linked.links.items():
        theirs = output.users(place)
        assert theirs is not None
        assert (theirs[links] == own).mean() >= 0.95
    union = linked.union.tocoo()
    truth = np.asarray(base.train[own[union.row], output.items(linked.place)[union.col]])
    assert truth.mean() >= 0.99
    assert union.nnz / base.train_count >= 0.8
    assert (
        advantage(output, people).value <= relinked_blocks(output, people, 1.0).judged(people.is_member)[0].mean() * 2
    )


def test_ids_by_popularity_tell_the_columns(held: tuple[fr.Interactions, fr.Interactions], base: fr.Base) -> None:
    def tried(id_order: str) -> set[str]:
        expansion = fr.Expansion(base, [[0.5]], max_keep=0.5, shuffle="aligned", id_order=id_order)
        report = fr.audit(expansion, *held, attackers=["output"], known=[1.0])
        return {one.attack for one in report.findings if one.attacker == "output"}

    assert tried("popularity") - tried("scrambled") >= {"likelihood ratio, items by rank", "nearest row, items by rank"}


def test_private_undoes_every_shuffle(base: fr.Base) -> None:
    for shuffle in ("aligned", "cells", "block"):
        rebuilt, share = rebuild(Output(fr.Expansion(base, np.full((4, 4), 0.3), shuffle=shuffle), True))
        assert rebuilt.multiply(base.train).nnz == rebuilt.nnz
        assert rebuilt.nnz / base.train_count == pytest.approx(share, abs=0.02)


def test_private_is_undone_by_ids_and_not_by_codes(base: fr.Base, people: People) -> None:
    """A base with the same interactions whose item codes run the other way."""
    order = np.argsort(-base.indices, kind="stable")
    owners = base.owners[order]
    order = order[np.argsort(owners, kind="stable")]
    turned = fr.Base.from_arrays(
        base.indptr,
        base.shape[1] - 1 - base.indices[order],
        base.test_mask[order],
        item_ids=base.item_ids.take(pa.array(np.arange(base.shape[1])[::-1])),
    )
    found = undone(Output(fr.Expansion(turned, np.full((2, 2), 0.5), shuffle="block"), False), people, 1.0)
    assert Advantage.counted(found.judged(people.is_member)[0], people.is_member).value >= 0.95


def test_too_few_people_are_no_measurement() -> None:
    members, controls = fr.hold_users_out(fr.sample_interactions(62, 120, 3_000, seed=8), seed=1)
    base = fr.leave_last_out(members)
    expansion = fr.Expansion(base, [[0.3]], profile="paper")
    report = fr.audit(expansion, members, controls, attackers=["output"], known=[1.0])
    assert not report.holds
    assert report.verdict.startswith("not measured: of so few people")


def test_a_report_says_first_what_was_found(report: fr.AuditReport, tmp_path: Path) -> None:
    assert report.measured
    assert not report.holds
    assert report.verdict.startswith("members are found: ")
    assert str(report).startswith(report.verdict)
    assert report.epsilon > 1
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["verdict"] == report.verdict
    assert {one["attacker"] for one in told["findings"]} == {"output", "columns", "seed"}
    assert {one["kind"] for one in told["findings"]} == {"identity", "membership", "attribute"}
    report.to_html(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert page.index(report.verdict) < page.index("What was not tried")
    assert "anonym" not in page


def test_whole_histories_tell_more_than_halves(report: fr.AuditReport) -> None:
    found = {
        one.known: one.advantage.value
        for one in report.findings
        if (one.attack, one.attacker, one.group) == ("densest block", "output", "everybody")
    }
    assert found[1.0] > found[0.5]


def test_fresh_people_are_not_told_from_fresh_people(base: fr.Base) -> None:
    """Twenty times: neither half was there, so that nobody is claimed and scores tell nothing."""
    expansion = fr.Expansion(base, [[0.9]], max_keep=0.9, profile="traceable")
    claimed, areas = [], []
    for seed in range(20):
        one, other = fr.hold_users_out(fr.sample_interactions(160, 220, 8_000, seed=100 + seed), seed=seed)
        people = People.of(as_base("members", one), as_base("controls", other), 1_000, seed)
        claims = densest_block(Output(expansion, False), people, 1.0)
        claimed.append(Advantage.counted(claims.judged(people.is_member)[0], people.is_member).value)
        assert claims.scores is not None
        found = area(claims.scores, people.is_member)
        assert found is not None
        areas.append(found[0])
    assert abs(np.mean(areas) - 0.5) <= 0.03
    assert abs(np.mean(claimed)) <= 0.02


def test_a_base_of_other_people_gives_nobody_away(held: tuple[fr.Interactions, fr.Interactions]) -> None:
    others = fr.leave_last_out(fr.sample_interactions(150, 220, 7_500, seed=77))
    report = fr.audit(fr.Expansion(others, [[0.2, 0.9]], profile="traceable"), *held, attackers=["output"], known=[1.0])
    assert report.holds
    assert report.verdict.startswith("nothing found by the attacks tried")


def test_what_is_found_within_what_is_allowed_is_named(report: fr.AuditReport) -> None:
    """Of 1,000 members 15 are claimed, of controls none: beyond chance, and not beyond 2 %."""

    def judged(members: int, most_advantage: float = 0.02) -> fr.AuditReport:
        claimed = np.arange(2_000) < members
        advantage = Advantage.counted(claimed, np.arange(2_000) < 1_000)
        found = replace(report.findings[0], attack="degree", attacker="output", group="everybody", advantage=advantage)
        return replace(report, findings=(found,), most_advantage=most_advantage)

    few = judged(15)
    assert few.holds
    assert few.verdict.startswith("nothing found beyond the 2% that are allowed: 15 of 1,000 members")
    assert few.verdict.endswith("by degree (everybody)")
    assert "beyond the 2.5% that" in judged(15, 0.025).verdict
    assert judged(0).verdict.startswith("nothing found by the attacks tried")
    assert judged(90).verdict.startswith("members are found")


def test_a_copy_under_other_names_is_caught(held: tuple[fr.Interactions, fr.Interactions], base: fr.Base) -> None:
    copy = fr.Base.from_arrays(base.indptr, base.indices, base.test_mask)
    report = fr.audit(fr.Expansion(copy, [[0.9]], profile="traceable"), *held, attackers=["output"], known=[1.0])
    assert not report.holds


def test_where_a_copy_is_not_found_nothing_was_measured() -> None:
    """Users with two interactions each have nothing that would tell them apart."""
    members, controls = fr.hold_users_out(fr.sample_interactions(400, 40, 900, seed=5))
    base = fr.leave_last_out(members)
    report = fr.audit(fr.Expansion(base, [[0.3]]), members, controls, attackers=["output"], known=[1.0])
    assert not report.measured
    assert not report.holds
    assert report.verdict.startswith("not measured: ")


def test_a_data_set_is_audited_as_its_expansion(
    held: tuple[fr.Interactions, fr.Interactions], base: fr.Base, tmp_path: Path
) -> None:
    expansion = fr.Expansion(base, [[0.2, 0.9]], profile="traceable")
    dataset = fr.write(expansion, tmp_path / "out")
    found, same = (fr.audit(one, *held, attackers=["output"], known=[1.0]).to_dict() for one in (dataset, expansion))
    assert {**found, "seconds": None} == {**same, "seconds": None}


def test_what_cannot_be_audited_is_refused(
    held: tuple[fr.Interactions, fr.Interactions], base: fr.Base, tmp_path: Path
) -> None:
    expansion = fr.Expansion(base, [[0.2, 0.9]], profile="traceable")
    with pytest.raises(fr.InputError, match=r"\d+ users are among the members and among the controls"):
        fr.audit(expansion, held[0], held[0])
    with pytest.raises(fr.InputError, match="there are 10 controls, too few for an interval: at least 30 are needed"):
        fr.audit(expansion, held[0], fr.sample_interactions(10, 20, 100))
    with pytest.raises(fr.InputError, match="'sketch' makes none"):
        fr.audit(fr.Expansion(base, [[0.5]], operator="sketch"), *held)
    with pytest.raises(fr.InputError, match=r"known has 1\.5"):
        fr.audit(expansion, *held, known=[1.5])
    with pytest.raises(fr.InputError, match="most_advantage is 2"):
        fr.audit(expansion, *held, most_advantage=2)
    with pytest.raises(fr.InputError, match="'outputs'"):
        fr.audit(expansion, *held, attackers=["outputs"])  # type: ignore[list-item]
    dataset = fr.write(fr.Expansion(fr.leave_last_out(held[1]), [[0.5]]), tmp_path / "out")
    with pytest.raises(fr.InputError, match="was not made of these members"):
        fr.audit(dataset, *held)
