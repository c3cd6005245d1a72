"""`fractalrs audit`: of a source, of a data set, what it exits with, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

import fractalrs as fr
from helpers.commands import Done, run
from helpers.stores import BUCKET, options, serving

SIZE = ("--user-multiplier", 2, "--item-multiplier", 2)
QUICK = ("--known", 1, "--attackers", "output", "--no-progress", "--threads", 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    fr.write_interactions(fr.sample_interactions(300, 220, 15_000, seed=3), path)
    return path


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written") / "out"
    done = run("expand", source, out, *SIZE, "--profile", "traceable", "--hold-out-users", 0.4, "--no-progress")
    assert done.code == 0, done.err
    assert "120 of 300 users are held out, for an audit" in done.err
    return out


def test_a_seed_is_drawn_for_what_is_to_be_given_away_and_stays(source: Path, tmp_path: Path) -> None:
    hidden = ("--profile", "paper", "--hold-out-users", 0.4, "--quiet", "--json", "--parts", 2)
    one, other = (tmp_path / name for name in ("one", "other"))
    refused(run("expand", source, one, *SIZE, *hidden, "--part-range", "0:1"), "each machine would draw a seed")
    # Machines that find a data set begun go on with its seed.
    assert run("expand", source, one, *SIZE, *hidden, "--part-range", "0:0").code == 0
    assert run("expand", source, one, *SIZE, *hidden, "--part-range", "0:1").code == 0
    seeds = []
    for place in (one, one, other):
        done = run("expand", source, place, *SIZE, *hidden)
        assert done.code == 0, done.err
        seeds.append(int(json.loads(done.out)["seed"]))
    assert seeds[0] == seeds[1] != seeds[2]
    # Overwritten by the same command, what is finished stays; by another, it is another data set.
    for share, same in ((0.4, True), (0.3, False)):
        given = [share if one == 0.4 else one for one in hidden]
        assert run("expand", source, other, *SIZE, *given, "--overwrite").code == 0
        assert (json.loads((other / "private" / "plan.json").read_text())["options"]["seed"] == seeds[2]) == same
    assert json.loads((one / "private" / "plan.json").read_text())["options"]["seed"] == seeds[0]
    assert str(seeds[0]) not in (one / "README.md").read_text() + (one / "manifest.json").read_text()


def test_without_anybody_to_hide_the_seed_is_0_and_a_given_one_is_taken(source: Path, tmp_path: Path) -> None:
    for name, given, seed in (("a", (), 0), ("b", ("--hold-out-users", 0.4, "--seed", 5), 5)):
        done = run("expand", source, tmp_path / name, *SIZE, "--profile", "paper", *given, "--quiet", "--json")
        assert "seed" not in json.loads(done.out)
        assert json.loads((tmp_path / name / "private" / "plan.json").read_text())["options"]["seed"] == seed


def refused(done: Done, message: str) -> None:
    assert done.code == 2
    assert done.out == ""
    assert re.search(message, " ".join(done.err.split())), done.err


def test_a_source_is_audited_as_it_would_be_expanded(source: Path, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    done = run("audit", source, *SIZE, "--profile", "traceable", *QUICK, "--report", page)
    assert done.code == 3
    assert done.out.startswith("members are found: ")
    assert "members: 150 of 150 users" in done.out
    assert done.out.splitlines()[0] in page.read_text(encoding="utf-8")


def test_the_default_profile_gives_nobody_away_to_who_has_the_output_alone(source: Path) -> None:
    done = run("audit", source, *SIZE, *QUICK, "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["verdict"].startswith("nothing found by the attacks tried")
    assert told["measured"]


def test_a_data_set_is_audited_and_its_card_says_so(source: Path, written: Path, tmp_path: Path) -> None:
    done = run("audit", written, "--source", source, *QUICK, "--json", "--quiet")
    assert (done.code, done.err) == (3, "")
    told = json.loads(done.out)
    assert told["expansion"] == fr.open_dataset(written).manifest.fingerprints["expansion"]
    assert "members: 180 of 180 users" not in done.out
    (tmp_path / "audit.json").write_text(done.out)
    given = run("publish", written, tmp_path / "public", "--audit", tmp_path / "audit.json", "--quiet")
    assert given.code == 0, given.err
    card = (tmp_path / "public" / "README.md").read_text(encoding="utf-8")
    assert f"By `fractalrs audit`: {told['verdict']}." in card
    told["expansion"] = "another"
    (tmp_path / "other.json").write_text(json.dumps(told))
    refused(
        run("publish", written, tmp_path / "again", "--audit", tmp_path / "other.json"),
        "the audit is of another data set",
    )
    assert not (tmp_path / "again").exists()


def test_a_card_says_where_nobody_looked(written: Path, tmp_path: Path) -> None:
    assert run("publish", written, tmp_path / "public", "--quiet").code == 0
    assert "No audit was made" in (tmp_path / "public" / "README.md").read_text(encoding="utf-8")


def test_held_out_users_are_not_in_the_data_set(source: Path, written: Path) -> None:
    everybody = fr.read_interactions(source)
    members, _ = fr.hold_users_out(everybody, 0.4, seed=0)
    assert fr.open_dataset(written).manifest.base_users == len(members.codes("user_id")[1])
    # The same command finishes it, and a validation reads the source as it did.
    assert run("expand", source, written, *SIZE, "--profile", "traceable", "--hold-out-users", 0.4).code == 0
    assert run("validate", written, "--source", source, "--only", "integrity", "--quiet").code == 0


def test_what_cannot_be_audited_is_refused(source: Path, written: Path, tmp_path: Path) -> None:
    refused(run("audit", written, "--source", source, "--seed", 3), "seed: .* is as it was made")
    refused(run("audit", source, *SIZE, "--known", "half"), "--known is 'half'")
    refused(run("audit", source, *SIZE, "--known", 2), r"known has 2\.0")
    refused(run("audit", source, *SIZE, "--attackers", "outputs"), "'outputs'")
    refused(run("audit", source, *SIZE, "--hold-out-users", 0.99), "members, too few for an interval")
    refused(run("audit", source), "multiplier")
    run("expand", source, tmp_path / "all", *SIZE, "--quiet")
    refused(run("audit", tmp_path / "all", "--source", source), "made of all users of its source")


def test_a_data_set_in_an_object_store_is_audited_as_in_a_folder(source: Path, tmp_path: Path) -> None:
    with serving() as server:
        given = [text for pair in options(server.endpoint).items() for text in ("--storage-option", "=".join(pair))]
        place = f"s3://{BUCKET}/out"
        how = ("--profile", "traceable", "--hold-out-users", 0.4, "--seed", 0, "--no-progress")
        done = run("expand", source, place, *SIZE, *how, *given)
        assert done.code == 0, done.err
        there = run("audit", place, "--source", source, *QUICK, *given, "--json", "--quiet")
        assert (there.code, there.err) == (3, "")
        refused(run("audit", f"s3://{BUCKET}/none", "--source", source, *given), "no plan that says how")
    told = json.loads(there.out)
    assert told["verdict"].startswith("members are found: ")
    local = tmp_path / "out"
    assert run("expand", source, local, *SIZE, *how).code == 0
    here = json.loads(run("audit", local, "--source", source, *QUICK, "--json", "--quiet").out)
    assert {**told, "seconds": None} == {**here, "seconds": None}
    refused(run("audit", source, *SIZE, *given), "storage-option is given without a source")


def test_an_attacker_may_have_several_releases(source: Path) -> None:
    done = run("audit", source, *SIZE, *QUICK, "--profile", "paper", "--releases", 2, "--json", "--quiet")
    told = json.loads(done.out)
    assert told["subject"]["releases"] == 2
    assert "several releases" in {one["attack"] for one in told["findings"]}
