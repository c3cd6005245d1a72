"""`fractalrs expand --epsilon`: a private base from the forecast to the folder that is given away."""

import json
import shutil
from pathlib import Path

import pytest

from fractalrs.base import Base, hold_users_out
from fractalrs.dataset import Dataset, Folder, Private
from fractalrs.privacy import audit
from fractalrs.reading import read_interactions, sample_interactions, write_interactions
from helpers.commands import run
from helpers.folders import digests
from helpers.stores import BUCKET, environment, serving

SIZE = ["--user-multiplier", "2", "--item-multiplier", "2", "--no-progress"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("source") / "real.csv"
    write_interactions(sample_interactions(6000, 120, 150_000, 3), file)
    return str(file)


@pytest.fixture(scope="module")
def made(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a data set of a private base."""
    folder = tmp_path_factory.mktemp("made") / "out"
    done = run("expand", source, str(folder), *SIZE, "--epsilon", "4", "--parts", "2")
    assert done.code == 0, done.err
    return folder


def test_what_is_promised_is_in_plan_manifest_card_and_info(made: Path) -> None:
    plan = Folder.read(made).plan
    assert plan is not None
    stated = plan.base.privacy
    assert stated is not None
    assert (stated.epsilon, stated.delta, stated.unit) == (4.0, 1e-6, "user")
    assert Base.load(made / "private" / "base").privacy == stated
    assert Dataset(made).manifest.privacy == stated
    assert plan.recipe is not None
    assert plan.recipe["epsilon"] == 4.0

    card = (made / "README.md").read_text()
    rows = [line.split("|")[1:-1] for line in card.splitlines() if line.startswith("|") and line.endswith("% |")]
    shares = [float(row[-1].strip().rstrip("%")) for row in rows]
    assert [row[0].strip() for row in rows] == [*(query.name for query in stated.ledger), "all"]
    assert sum(shares[:-1]) == pytest.approx(shares[-1], abs=0.2)
    assert sum(float(row[-2]) for row in rows[:-1]) == pytest.approx(float(rows[-1][-2]), rel=1e-3)
    assert "(4, 1e-06)-differentially private" in card

    shown = json.loads(run("info", str(made), "--json").out)
    assert shown["private_base"] == {"epsilon": 4.0, "delta": 1e-6, "unit": "user", "queries": len(stated.ledger)}


def test_statistics_and_counts_are_those_of_the_private_base(made: Path) -> None:
    private, base = Private.read(made), Base.load(made / "private" / "base")
    assert private is not None
    assert str(private.statistics["fingerprint"]) == private.plan.base.fingerprint == base.fingerprint
    assert private.statistics["shape"].tolist() == [*base.shape]
    for file in made.rglob("*"):
        if file.suffix in (".json", ".md"):
            text = file.read_text()
            assert "150,000" not in text
            assert "150000" not in text


def test_a_resumed_run_spends_nothing_and_does_not_read_the_source(source: str, made: Path, tmp_path: Path) -> None:
    part = made / "train" / "part-00000-of-00002.parquet"
    before, base = part.read_bytes(), (made / "private" / "base" / "entries.npy").read_bytes()
    part.unlink()
    (made / "manifest.json").unlink()
    done = run("expand", str(tmp_path / "gone.csv"), str(made), *SIZE, "--epsilon", "4", "--parts", "2")
    assert done.code == 0, done.err
    assert "no budget is spent" in done.err
    assert part.read_bytes() == before
    assert (made / "private" / "base" / "entries.npy").read_bytes() == base

    other = run("expand", source, str(made), *SIZE, "--epsilon", "3")
    assert other.code != 0
    assert "--epsilon is 4.0 there and 3.0 here" in other.err


def test_every_byte_of_a_private_base_counts_and_it_repairs_its_parts(made: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(made, tmp_path / "out"))
    part, wanted = out / "train/part-00001-of-00002.parquet", digests(made)
    part.unlink()
    done = run("verify", str(out))
    assert (done.code, f"fractalrs verify {out} --repair\n" in done.out) == (3, True)
    assert run("verify", str(out), "--repair").code == 0
    assert digests(out) == wanted
    for name in ("user_ids.arrow", "entries.npy", "base.json"):
        file = out / "private/base" / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-40] + bytes([whole[-40] ^ 4]) + whole[-39:])
        told = json.loads(run("verify", str(out), "--json").out)
        assert [fault["file"] for fault in told["faults"]] == [f"private/base/{name}"]
        assert told["faults"][0]["advice"].startswith("take it from a copy")
        file.write_bytes(whole)


def test_a_private_base_that_is_gone_is_not_drawn_again(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    options = [*SIZE, "--epsilon", "4", "--parts", "2"]
    assert run("expand", source, str(folder), *options, "--part-range", "0:0").code == 0
    (folder / "private" / "base" / "base.json").unlink()
    refused = run("expand", source, str(folder), *options)
    assert refused.code != 0
    assert "--overwrite" in refused.err
    assert run("expand", source, str(folder), *options, "--overwrite").code == 0
    assert Folder.read(folder).is_complete


def test_in_an_object_store_it_is_kept_and_taken_up_too(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        for name, value in environment(server.endpoint).items():
            monkeypatch.setenv(name, value)
        url, options = f"s3://{BUCKET}/private", [*SIZE, "--epsilon", "4", "--parts", "3"]
        assert run("expand", source, url, *options, "--part-range", "0:0").code == 0
        assert run("expand", source, url, *options, "--part-range", "0:1").code == 0
        assert "private/base/entries.npy" in server.sizes("private")
        done = run("expand", source, url, *options)
        assert done.code == 0, done.err
        assert "no budget is spent" in done.err
        assert json.loads(run("info", url, "--json").out)["private_base"]["epsilon"] == 4.0


def test_a_dry_run_forecasts_and_writes_nothing(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = run("expand", source, str(folder), *SIZE, "--epsilon", "4", "--dry-run", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["private_base"]
    assert found["surviving"] >= 4
    assert (found["users"], found["unit"]) == (6000, "user")
    assert not folder.exists()


def test_a_secret_catalogue_is_selected_and_the_card_says_so(source: str, made: Path, tmp_path: Path) -> None:
    assert "The list of items is assumed to be public" in (made / "README.md").read_text()
    out, options = tmp_path / "out", [*SIZE, "--epsilon", "4", "--secret-catalogue", "--parts", "2"]
    done = run("expand", source, str(out), *options)
    assert done.code == 0, done.err
    plan = Folder.read(out).plan
    assert plan is not None
    assert plan.base.privacy is not None
    assert plan.recipe is not None
    assert plan.recipe["secret_catalogue"] is True
    chance = sum(query.delta for query in plan.base.privacy.ledger)
    assert 0 < chance <= 5e-7
    card = (out / "README.md").read_text()
    assert "Which items there are was asked too" in card
    assert f"the chance that one user alone brought one is at most {chance:.2g}, of δ" in card
    assert "assumed to be public" not in card
    assert Base.load(out / "private" / "base").privacy == plan.base.privacy


def test_a_comparison_with_the_source_is_refused(source: str, made: Path) -> None:
    refused = run("validate", str(made), "--source", source, "--no-progress")
    assert refused.code == 2
    assert "beyond epsilon" in refused.err


def test_what_is_published_says_it_and_holds_no_recipe(made: Path, tmp_path: Path) -> None:
    done = run("publish", str(made), str(tmp_path / "public"))
    assert done.code == 0, done.err
    assert "guess" not in done.err
    card = (tmp_path / "public" / "README.md").read_text()
    assert "## Privacy" in card
    assert "## Recipe" not in card
    assert Dataset(tmp_path / "public").manifest.privacy is not None
    refused = run("info", str(made), "--recipe")
    assert refused.code == 2
    assert "private base" in refused.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--epsilon", "0"], "epsilon is 0.0; it must be a number above 0"),
        (["--epsilon", "inf"], "no promise"),
        (["--epsilon", "4", "--delta", "1"], "delta is 1.0"),
        (["--epsilon", "4", "--delta", "0.01"], "delta is 0.01 for 6,000 users"),
        (["--epsilon", "0.2"], "about 0 of 16 directions"),
        (["--privacy-unit", "interaction"], "epsilon is missing"),
        (["--secret-catalogue"], "a secret catalogue says nothing without"),
        (["--epsilon", "4", "--timestamps"], "timestamps would carry real data past"),
        (["--epsilon", "4", "--ratings", "carry"], "ratings would carry real data past"),
        (["--epsilon", "4", "--carry", "genre"], "carry would carry real data past"),
        (["--epsilon", "4", "--split", "time", "--test-share", "0.1"], "no timestamps"),
        (["--epsilon", "4", "--profile", "traceable", "--user-attributes", "x.csv"], "would carry real data past"),
    ],
)
def test_what_does_not_go_with_it_is_refused(source: str, tmp_path: Path, options: list[str], says: str) -> None:
    done = run("expand", source, str(tmp_path / "out"), *SIZE, *options)
    assert done.code == 2, done.err
    assert says in done.err.replace("--", "")
    assert not (tmp_path / "out").exists()


def test_an_audit_is_made_and_stays_at_home(source: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("expand", source, str(out), *SIZE, "--epsilon", "4", "--hold-out-users", "0.3", "--parts", "2")
    assert done.code == 0, done.err
    people = hold_users_out(read_interactions(source), 0.3)
    told = audit(Dataset(out), *people, attackers=["output"], known=[1.0], most=600).to_dict()
    assert told["epsilon_at_least"] < 4
    assert "taken on trust" in told["subject"]["base"]
    (tmp_path / "audit.json").write_text(json.dumps(told))
    done = run("publish", str(out), str(tmp_path / "public"), "--audit", str(tmp_path / "audit.json"))
    assert done.code == 2
    assert "an audit of a private base tells of the real data beyond its epsilon" in done.err
    assert not (tmp_path / "public").exists()
