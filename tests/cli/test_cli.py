"""The command line: what it prints where, its exit codes, and what it refuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

import fractalrs as fr
from fractalrs.cli.commands import COMMANDS
from fractalrs.errors import WriteError
from fractalrs.tools import LocalStore
from helpers.commands import Done, run
from helpers.folders import digests, files_of, sql, stamps

SIZE = ("--user-multiplier", 3, "--item-multiplier", 5)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small source, written by the command line itself."""
    path = tmp_path_factory.mktemp("source") / "ratings.csv"
    assert run("sample", path, "--users", 200, "--items", 150, "--interactions", 4_000, "--seed", 1).code == 0
    return path


@pytest.fixture(scope="module")
def written(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A data set made with ``--json``, and how the command ended."""
    path = tmp_path_factory.mktemp("written") / "out"
    return path, run("expand", source, path, *SIZE, "--parts", 3, "--seed", 7, "--json")


def expand(source: Any, output: Path, *options: Any) -> Done:
    return run("expand", source, output, *SIZE, *options)


def refused(done: Done, message: str) -> None:
    """Check that a command was refused with a message, and said nothing else on stdout."""
    assert done.code == 2, done
    assert done.out == ""
    # The command line library draws boxes around what it has to say, and breaks lines.
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.err).split())
    assert re.search(message, words), words
    assert "Traceback" not in done.err
    assert "rror" in done.err


class Failing(fr.Expansion):
    """An expansion whose parts cannot be written."""

    def __init__(self, error: BaseException, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.generator: Any = Mock(wraps=self.generator)
        encode = self.generator.run

        def run(*parts: Any, stage: str, **settings: Any) -> Any:
            if stage == "flush":
                raise error
            return encode(*parts, stage=stage, **settings)

        self.generator.run = run


# --- expand ----------------------------------------------------------------------------------------------------------


def test_json_is_one_object_on_stdout(written: tuple[Path, Done]) -> None:
    path, done = written
    assert done.code == 0
    assert done.out.count("\n") == 1
    summary = json.loads(done.out)
    assert set(summary) == {
        "output",
        "seconds",
        "users",
        "items",
        "train",
        "test",
        "bytes",
        "files",
        "peak_memory_bytes",
    }
    totals = fr.open_dataset(path).totals
    assert summary["output"] == str(path)
    assert 0 < summary["seconds"] < 600
    assert summary["users"]["ids"] == 600
    assert summary["items"]["ids"] == 750
    for split in ("train", "test"):
        assert summary[split]["written"] == totals[split]
        assert abs(summary[split]["expected"] - totals[split]) < 5 * summary[split]["std"]
    assert (summary["bytes"], summary["files"]) == (totals["bytes"], 6)
    on_disk = sum(file.stat().st_size for split in ("train", "test") for file in files_of(path, split))
    assert summary["bytes"] == on_disk
    assert 50e6 < summary["peak_memory_bytes"] < 4e9


def test_messages_are_on_stderr_and_say_what_was_chosen(source: Path, tmp_path: Path) -> None:
    done = expand(source, tmp_path / "out")
    assert (done.code, done.out) == (0, "")
    for words in ("reading", "user_id", "Split: last", "reducing", "cells", "train", "written", "peak memory"):
        assert words in done.err
    totals = fr.open_dataset(tmp_path / "out").totals
    assert f"written {totals['train']:,}" in done.err


def test_quiet_is_silent(source: Path, tmp_path: Path) -> None:
    done = expand(source, tmp_path / "out", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (tmp_path / "out/manifest.json").exists()
    refused(expand(source, tmp_path / "out", "--quiet", "--seed", 3), "--seed is 0 there and 3 here")


def test_python_and_the_command_line_write_the_same(source: Path, tmp_path: Path, written: tuple[Path, Done]) -> None:
    fr.expand(source, tmp_path / "out", user_multiplier=3, item_multiplier=5, seed=7, parts=3)
    assert digests(tmp_path / "out") == digests(written[0])


def test_steps_by_hand_give_the_same_interactions(source: Path, written: tuple[Path, Done]) -> None:
    base = fr.leave_last_out(fr.read_interactions(source))
    expansion = fr.Expansion(base, fr.fit(base, (3, 5)), seed=7)
    assert fr.open_dataset(written[0]).train.to_table().equals(expansion.table(0, 600))


def test_every_option_reaches_the_plan(source: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "--profile": "paper",
        "--shuffle": "cells",
        "--seed": 9,
        "--split": "random",
        "--ties": "last",
        "--min-timestamps": 3,
        "--rescale": "minmax",
        "--user-cell-size": 2,
        "--item-cell-size": 8,
        "--min-keep": 0.02,
        "--max-keep": 0.8,
        "--keep-scale": 0.9,
        "--block-keep": 0.7,
        "--test-items": "one",
        "--order": "item",
        "--id-order": "scrambled",
        "--parts": 2,
        "--encoding": "fast",
        "--compression": "zstd(3)",
        "--row-group-size": 1000,
        "--source-licence": "CC BY 4.0",
        "--threads": 1,
        "--input-format": "csv",
        "--delimiter": ",",
        "--user-column": "user_id",
        "--item-column": "2",
        "--rating-column": "rating",
        "--timestamp-column": "timestamp",
        "--ratings": "kronecker",
    }
    flags = ["--order-by", "degree", "--drop-incomplete", "--no-progress"]
    done = expand(source, tmp_path / "out", *[word for pair in options.items() for word in pair], *flags)
    assert done.code == 0, done.err
    plan = json.loads((tmp_path / "out/private/plan.json").read_text())
    assert plan["profile"] == "paper"
    assert plan["options"] == {
        "shuffle": "cells",
        "seed": 9,
        "min_keep": 0.02,
        "max_keep": 0.8,
        "keep_scale": 0.9,
        "block_keep": 0.7,
        "test_items": "one",
        "drop_incomplete": True,
        "order": "item",
        "id_order": "scrambled",
        "timestamps": False,
        "ratings": "kronecker",
        "carry": [],
        "cold_users": 0.0,
        "cold_items": 0.0,
        "operator": "dropout",
    }
    assert plan["writing"] == {"parts": 2, "encoding": "fast", "compression": "zstd(3)", "row_group_size": 1000}
    assert plan["source_licence"] == "CC BY 4.0"
    assert "license: cc-by-4.0" in (tmp_path / "out/README.md").read_text()
    assert (plan["user_cell_size"], plan["item_cell_size"]) == (2, 8)
    recipe = plan["recipe"]
    assert {name: recipe[name] for name in ("split", "ties", "min_timestamps", "rescale", "order_by")} == {
        "split": "random",
        "ties": "last",
        "min_timestamps": 3,
        "rescale": "minmax",
        "order_by": "degree",
    }
    assert recipe["fit"] is False
    assert recipe["reading"] == {
        "format": "csv",
        "delimiter": ",",
        "user_column": "user_id",
        "item_column": "2",
        "rating_column": "rating",
        "timestamp_column": "timestamp",
    }
    assert plan["base"]["split"] == "random"


@pytest.mark.parametrize(
    ("profile", "shuffle", "ties"),
    [("realistic", "mixed", "last"), ("paper", "block", "all"), ("traceable", "aligned", "last")],
)
def test_profiles_set_shuffle_and_ties(source: Path, tmp_path: Path, profile: str, shuffle: str, ties: str) -> None:
    assert expand(source, tmp_path / "out", "--profile", profile).code == 0
    plan = json.loads((tmp_path / "out/private/plan.json").read_text())
    assert (plan["options"]["shuffle"], plan["recipe"]["ties"]) == (shuffle, ties)


def test_no_header_and_columns_by_position(source: Path, tmp_path: Path) -> None:
    lines = source.read_text().splitlines()[1:]
    bare = tmp_path / "bare.dat"
    bare.write_text("\n".join("::".join(line.split(",")) for line in lines) + "\n")
    names = source.read_text().splitlines()[0].replace('"', "").split(",")
    options = ["--no-header", "--delimiter", "::", "--user-column", names.index("user_id") + 1]
    options += ["--item-column", names.index("item_id") + 1, "--timestamp-column", names.index("timestamp") + 1]
    for name, of, more in (("a", source, []), ("b", bare, options)):
        done = expand(of, tmp_path / name, "--shuffle", "aligned", *more)
        assert done.code == 0, done.err
    train = [fr.open_dataset(tmp_path / name).train.to_table() for name in "ab"]
    assert train[0].equals(train[1])


def test_what_is_read_is_not_written_over(source: Path, tmp_path: Path) -> None:
    assert expand(source, tmp_path / "out").code == 0
    before = digests(tmp_path / "out")
    for read in ("train", "train/part-00000-of-00001.parquet"):
        refused(expand(tmp_path / "out" / read, tmp_path / "out", "--overwrite"), "lies in the output")
    matrix = tmp_path / "out/private/reduced_matrix.npy"
    refused(expand(source, tmp_path / "out", "--overwrite", "--reduced-matrix", matrix), "lies in the output")
    assert digests(tmp_path / "out") == before


def test_the_built_in_sample_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for output in (".", "sample"):
        (tmp_path / output).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / output)
        options = ("--user-multiplier", 2, "--item-multiplier", 2, "--dry-run")
        assert run("expand", "sample", output, *options).code == 0


def test_a_pipe_is_refused(source: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refused(
        expand(tmp_path / "pipe.csv", tmp_path / "out"), "pipe.csv is not a file or a folder hint: write what comes"
    )
    attributes = ("--profile", "traceable", "--item-attributes", tmp_path / "pipe.csv")
    refused(expand(source, tmp_path / "out", *attributes), "pipe.csv is not a file or a folder")


def test_split_none_has_no_test(source: Path, tmp_path: Path) -> None:
    done = expand(source, tmp_path / "out", "--split", "none", "--json")
    assert done.code == 0
    assert json.loads(done.out)["test"]["written"] == 0
    assert not (tmp_path / "out/test").exists()


def test_a_reduced_matrix_of_ones_own(source: Path, tmp_path: Path) -> None:
    matrix = np.linspace(0, 1, 15).reshape(3, 5)
    np.save(tmp_path / "matrix.npy", matrix)
    assert expand(source, tmp_path / "out", "--reduced-matrix", tmp_path / "matrix.npy").code == 0
    # Its shape says the multipliers.
    assert run("expand", source, tmp_path / "alone", "--reduced-matrix", tmp_path / "matrix.npy").code == 0
    assert fr.open_dataset(tmp_path / "alone").shape == fr.open_dataset(tmp_path / "out").shape
    np.testing.assert_array_equal(np.load(tmp_path / "out/private/reduced_matrix.npy"), matrix)
    refused(
        run("expand", source, tmp_path / "b", *SIZE[:3], 6, "--reduced-matrix", tmp_path / "matrix.npy"),
        r"matrix.npy has shape 3 × 5, but .* are 3 and 6",
    )
    np.save(tmp_path / "other.npy", matrix[::-1])
    refused(
        expand(source, tmp_path / "out", "--reduced-matrix", tmp_path / "other.npy"), "reduced_matrix_digest is .* here"
    )


@pytest.mark.parametrize("shape", [(10, 3), (2, 8), (12, 11)])
def test_a_given_matrix_may_have_more_rows_and_columns_than_the_base(tmp_path: Path, shape: tuple[int, int]) -> None:
    """The limits of the multipliers are those of Algorithm 3, which makes no matrix here."""
    (tmp_path / "data.csv").write_text(GOOD)
    np.save(tmp_path / "matrix.npy", np.full(shape, 0.5))
    command = ["expand", tmp_path / "data.csv", tmp_path / "out", "--json"]
    command += ["--user-multiplier", shape[0], "--item-multiplier", shape[1]]
    refused(run(*command), "multiplier .* does not fit a base of")
    done = run(*command, "--reduced-matrix", tmp_path / "matrix.npy")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["users"]["ids"], summary["items"]["ids"]) == (9 * shape[0], 7 * shape[1])
    assert abs(summary["train"]["written"] - summary["train"]["expected"]) < 5 * summary["train"]["std"]


def test_dry_run_prints_the_plan_and_writes_nothing(source: Path, tmp_path: Path, written: tuple[Path, Done]) -> None:
    done = expand(source, tmp_path / "out", "--dry-run", "--seed", 7, "--parts", 3)
    assert done.code == 0
    for words in ("train", "expected", "bytes", "memory", "free disk", "parts"):
        assert words in done.out
    done = expand(source, tmp_path / "out", "--dry-run", "--json", "--quiet", "--seed", 7, "--parts", 3)
    assert done.err == ""
    forecast, summary = json.loads(done.out), json.loads(written[1].out)
    for name in ("train", "test"):
        assert forecast[name]["expected"] == summary[name]["expected"]
    assert forecast["users"] == summary["users"]
    assert forecast["bytes"] == pytest.approx(summary["bytes"], rel=0.2)
    assert forecast["parts"] == 3
    assert forecast["memory_bytes"] > 50e6
    assert forecast["free_disk_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", 8], "made otherwise: --seed is 7 there and 8 here"),
        (["--seed", 7, "--compression", "zstd"], "made otherwise: --compression is lz4 there and zstd here"),
        (["--seed", 7, "--source-licence", "MIT"], "made otherwise: --source-licence is None there and MIT here"),
    ],
)
def test_dry_run_refuses_another_plan_like_the_run(
    source: Path, written: tuple[Path, Done], options: list[Any], message: str
) -> None:
    before = stamps(written[0])
    dry, wet = (expand(source, written[0], "--parts", 3, *options, *flag) for flag in (["--dry-run"], []))
    refused(dry, message)
    assert dry.err == wet.err
    over = expand(source, written[0], "--parts", 3, *options, "--dry-run", "--overwrite")
    assert over.code == 0
    assert "free disk" in over.out
    assert stamps(written[0]) == before


def test_dry_run_refuses_too_little_disk_and_damage_like_the_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    assert expand(source, path).code == 0
    assert expand(source, path, "--dry-run").code == 0
    file = files_of(path, "train")[0]
    file.write_bytes(file.read_bytes()[:-9])
    before = stamps(path)
    refused(expand(source, path, "--dry-run"), "part-00000-of-00001.parquet is damaged")
    with LocalStore(path).locked():
        refused(expand(source, path, "--dry-run"), "another run is writing")
    monkeypatch.setattr("fractalrs.tools.machine.free_disk", lambda _: 12_000)
    refused(expand(source, tmp_path / "new", "--dry-run"), r"too little free disk .*, 12 kB are free")
    assert not (tmp_path / "new").exists()
    assert stamps(path) == before


def test_the_same_command_on_a_complete_set_says_so(source: Path, written: tuple[Path, Done]) -> None:
    before = stamps(written[0])
    done = expand(source, written[0], "--parts", 3, "--seed", 7, "--threads", 1)
    assert done.code == 0
    assert "is complete already: nothing to do" in done.err
    assert stamps(written[0]) == before


def test_the_same_command_resumes_with_the_matrix_and_cells_it_began_with(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    assert expand(source, path, "--parts", 3).code == 0
    whole = digests(path)
    for name in ("manifest.json", "train/part-00001-of-00003.parquet", "test/part-00002-of-00003.parquet"):
        (path / name).unlink()
    kept = stamps(path, set(whole) - {"README.md"})

    def elsewhere(*_: Any, **__: Any) -> None:
        raise AssertionError("another machine would round this otherwise")

    monkeypatch.setattr("fractalrs.workflow.run.reduce", elsewhere)
    monkeypatch.setattr("fractalrs.workflow.run.group_cells", elsewhere)
    done = expand(source, path, "--parts", 3)
    assert done.code == 0, done.err
    assert "4 of 6 files are finished already" in done.err
    assert digests(path) == whole
    assert stamps(path, set(kept)) == kept


def test_another_source_or_option_is_refused_and_can_overwrite(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert expand(source, path).code == 0
    before = stamps(path)
    other = tmp_path / "other.csv"
    assert run("sample", other, "--users", 100, "--items", 90, "--interactions", 2_000).code == 0
    refused(expand(other, path), "made otherwise: the source's interactions are not the same hint: .* --overwrite")
    refused(expand(source, path, "--keep-scale", 2), "--keep-scale is 1.0 there and 2.0 here")
    refused(expand(source, path, "--rescale", "minmax"), "--rescale is absolute there and minmax here")
    refused(expand(source, path, "--item-cell-size", 2), "--item-cell-size is None there and 2 here")
    refused(expand(source, path, "--strength", 0.5), "--strength is None there and 0.5 here")
    refused(expand(source, path, "--no-fit"), "--fit is True there and False here")
    refused(expand(source, path, "--compression", "zstd"), "--compression is lz4 there and zstd here")
    assert stamps(path) == before
    for options in ([other, path], [source, path, "--keep-scale", 2]):
        assert expand(*options, "--overwrite").code == 0
        fresh = expand(options[0], tmp_path / "fresh", *options[2:], "--overwrite")
        assert fresh.code == 0
        assert digests(path) == digests(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (WriteError("cannot write the part"), "error: cannot write the part"),
        (OSError(28, "No space left on device", "train"), "error: cannot write train: No space left on device"),
        (MemoryError(), "error: there is too little memory"),
    ],
)
def test_failures_while_running_exit_with_1(
    source: Path, tmp_path: Path, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fractalrs.workflow.run.Expansion", lambda *given, **options: Failing(error, *given, **options))
    done = expand(source, tmp_path / "out", "--shuffle", "aligned")
    assert (done.code, done.out) == (1, "")
    assert message in done.err.splitlines()


def test_interruption_exits_with_130(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def interrupted(*given: Any, **options: Any) -> fr.Expansion:
        return Failing(KeyboardInterrupt(), *given, **options)

    monkeypatch.setattr("fractalrs.workflow.run.Expansion", interrupted)
    done = expand(source, tmp_path / "out", "--json")
    assert (done.code, done.out) == (130, "")
    assert "interrupted: what is finished stays, the same command goes on" in done.err
    monkeypatch.setattr("fractalrs.workflow.run.reduce", interrupt)
    done = expand(source, tmp_path / "other")
    assert done.code == 130
    assert "interrupted: nothing was written" in done.err
    monkeypatch.setattr("fractalrs.cli.sample.sample_interactions", interrupt)
    assert run("sample", tmp_path / "sample.csv").code == 130


def test_progress_is_shown_on_a_terminal_only(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    options = (*SIZE, "--shuffle", "aligned", "--parts", 4)
    done = run("expand", source, tmp_path / "a", *options, terminal=True)
    assert (done.code, done.out) == (0, "")
    assert "M/s" in done.err
    assert "4/4 parts" in done.err
    assert re.search(r"\d:\d\d:\d\d|-:--:--", done.err)
    assert "M/s" not in run("expand", source, tmp_path / "b", *options, "--no-progress", terminal=True).err
    assert run("expand", source, tmp_path / "c", *options, "--quiet", terminal=True).err == ""
    assert "M/s" not in run("expand", source, tmp_path / "d", *options).err


def test_the_module_runs_as_a_program(source: Path, written: tuple[Path, Done]) -> None:
    command = [sys.executable, "-m", "fractalrs", "expand", str(source), str(written[0]), *map(str, SIZE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "--seed is 7 there and 0 here" in done.stderr


# --- help, version, info, sample -------------------------------------------------------------------------------------


def test_version() -> None:
    done = run("--version")
    assert (done.code, done.out) == (0, f"fractalrs {fr.__version__} (generator 3)\n")


def test_no_command_is_loaded_before_it_is_asked_for() -> None:
    program = (
        "import sys, types\n"
        "package = types.ModuleType('fractalrs')\n"
        f"package.__path__ = {list(fr.__path__)!r}\n"
        "sys.modules['fractalrs'] = package\n"
        "import fractalrs.cli.commands\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'pyarrow', 'scipy', 'rich'}))\n"
        "print(*(name for name in sys.modules if name.startswith('fractalrs.workflow')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_commands_are_listed_with_what_they_do() -> None:
    shown = " ".join(re.sub(r"[│─]", " ", run("--help").out).split())
    for name, does in COMMANDS.items():
        assert f"{name} {does}" in shown
        assert does in " ".join(run(name, "--help").out.split())


def test_interruption_while_loading_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "fractalrs.cli.commands", Interrupted("commands"))
    assert run("--version") == Done(130, "", "interrupted\n")


@pytest.mark.parametrize("columns", [80, 120])
def test_help_is_grouped_by_purpose_and_complete(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = run("expand", "--help-all")
    assert done.code == 0
    assert "…" not in done.out
    assert "<" not in done.out
    assert "{" not in done.out
    assert "[default: (" not in done.out
    assert max(map(len, done.out.splitlines())) <= columns
    groups = dict(zip(*[iter(re.split(r"╭─ ([\w ]+) ─+╮", done.out)[1:])] * 2, strict=True))
    options = {title: re.findall(r"^│ (--[a-z-]+)", text, re.MULTILINE) for title, text in groups.items()}
    assert options == {
        "Arguments": [],
        "Size and shuffle": [
            "--user-multiplier",
            "--item-multiplier",
            "--target-interactions",
            "--target-size",
            "--target-users",
            "--target-items",
            "--profile",
            "--shuffle",
            "--seed",
            "--user-cell-size",
            "--item-cell-size",
        ],
        "Train and test": [
            *(
                "--split",
                "--leave-out",
                "--test-after",
                "--test-share",
                "--validation",
                "--valid-after",
                "--ties",
                "--min-timestamps",
                "--hold-out-users",
                "--test-items",
                "--drop-incomplete",
                "--keep-incomplete",
            ),
            *("--cold-users", "--cold-items"),
        ],
        "Reduced matrix": [
            *("--rescale", "--order-by", "--fit", "--no-fit", "--user-balance", "--item-balance", "--strength"),
            "--reduced-matrix",
        ],
        "What is kept": ["--min-keep", "--max-keep", "--keep-scale", "--block-keep", "--operator"],
        "What interactions carry": ["--timestamps", "--ratings", "--carry"],
        "Output files": [
            "--order",
            "--id-order",
            "--parts",
            "--partition",
            "--encoding",
            "--compression",
            "--row-group-size",
            "--source-licence",
            "--item-attributes",
            "--user-attributes",
            "--overwrite",
            "--truth",
        ],
        "Reading the source": [
            "--input-format",
            "--delimiter",
            "--header",
            "--no-header",
            "--text-encoding",
            "--time-format",
            "--order-is-time",
            "--user-column",
            "--item-column",
            "--rating-column",
            "--timestamp-column",
            "--missing-ids",
        ],
        "Privacy": ["--epsilon", "--delta", "--privacy-unit", "--secret-catalogue"],
        "Running": [
            *("--config", "--recipe", "--threads", "--part-range", "--dry-run", "--storage-option"),
            *("--json", "--quiet", "--no-progress"),
        ],
        "Help": ["--help"],
        "Examples": [],
    }


@pytest.mark.parametrize("columns", [80, 120])
def test_help_is_short(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = run("expand", "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= columns
    shown = re.findall(r"^│ (--[a-z-]+)", done.out, re.MULTILINE)
    # One of the ten has two names.
    assert len(shown) == 11 + 2
    assert shown[-2:] == ["--help-all", "--help"]
    assert len(re.findall(r"^│ fractalrs expand ", done.out, re.MULTILINE)) == 2
    for command in COMMANDS:
        assert "│ fractalrs " in run(command, "--help").out


def test_help_says_where_the_seed_is_drawn() -> None:
    for command in ("expand", "rank", "audit"):
        option = "--help-all" if command == "expand" else "--help"
        shown = " ".join(re.sub(r"[│─]", " ", run(command, option).out).split())
        said = re.search(r"The same seed gives the same data set, bit for bit\. \[default: (.*?)\]", shown)
        assert said is not None, shown
        assert said[1] == ("0; with --hold-out-users or --epsilon drawn at random" if command == "expand" else "0")


def test_info_of_a_complete_data_set(written: tuple[Path, Done]) -> None:
    path, done = written
    assert run("info", path).code == 0
    assert "users" in run("info", path).out
    content = json.loads(run("info", path, "--json").out)
    summary = json.loads(done.out)
    assert (content["train"], content["test"]) == (summary["train"]["written"], summary["test"]["written"])
    assert content["base"] == {"users": 200, "items": 150}
    assert content["multipliers"] == {"user": 3, "item": 5}
    assert content["parts"] == 3
    assert content["id_order"] == "block"
    assert content["schema"] == {"user_id": "int32", "item_id": "int32"}


def test_items_numbered_by_popularity_are_resumed_checked_and_made_again(source: Path, tmp_path: Path) -> None:
    path, again = tmp_path / "out", tmp_path / "again"
    how = ("--id-order", "popularity", "--parts", 2, "--seed", 7)
    assert expand(source, path, *how).code == 0
    there = digests(path)
    (path / "train/part-00001-of-00002.parquet").unlink()
    assert expand(source, path, *how).code == 0
    assert digests(path) == there
    refused(expand(source, path, "--parts", 2, "--seed", 7), "popularity there and block here")
    assert json.loads(run("info", path, "--json").out)["id_order"] == "popularity"
    assert run("validate", path, "--source", source, "--only", "integrity").code == 0
    (tmp_path / "recipe.toml").write_text(run("info", path, "--recipe").out)
    assert run("expand", source, again, "--recipe", tmp_path / "recipe.toml").code == 0
    assert digests(again)["train/part-00001-of-00002.parquet"] == there["train/part-00001-of-00002.parquet"]


def test_info_of_an_unfinished_data_set_says_what_it_lacks(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    expand(source, path, "--parts", 3)
    (path / "manifest.json").unlink()
    (path / "train/part-00001-of-00003.parquet").unlink()
    refused(run("info", path), "not complete: it lacks train part 1 of 3 .*run the command that began it again")


def test_info_of_anything_else(tmp_path: Path) -> None:
    refused(run("info", tmp_path), "is not a data set of fractalrs")
    refused(run("info", tmp_path / "none"), "does not exist or is not a folder: .*none")
    (tmp_path / "file").write_text("mine")
    refused(run("info", tmp_path / "file"), "does not exist or is not a folder: .*file")
    (tmp_path / "manifest.json").write_text('{"name": "an app"}')
    refused(run("info", tmp_path), "manifest.json is not one of ours")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_sample_writes_what_expand_reads(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"sample.{suffix}"
    done = run("sample", file, "--users", 100, "--items", 80, "--interactions", 1_500, "--seed", 5)
    assert (done.code, done.out) == (0, "")
    assert "1,500 interactions" in done.err
    frame = pl.read_csv(file) if suffix == "csv" else pl.read_parquet(file)
    made = fr.sample_interactions(100, 80, 1_500, 5)
    assert frame.columns == made.columns
    assert frame.height == 1_500
    done = expand(file, tmp_path / "out", "--json")
    assert done.code == 0
    direct = fr.leave_last_out(made)
    assert json.loads((tmp_path / "out/private/plan.json").read_text())["base"]["fingerprint"] == direct.fingerprint


def test_sample_replaces_nothing(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    refused(run("sample", source), "exists already")
    assert source.read_bytes() == before
    refused(run("sample", tmp_path / "none/sample.csv"), "folder .* does not exist")
    refused(run("sample", tmp_path / "sample.txt"), "neither in .csv nor in .parquet")
    refused(run("sample", tmp_path / "sample.csv", "--users", 0), "users")
    refused(run("sample", tmp_path / "sample.csv", "--users", 2, "--items", 2, "--interactions", 9), "interactions")
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_sample_is_a_source(tmp_path: Path) -> None:
    done = run("expand", "sample", tmp_path / "out", *SIZE, "--shuffle", "aligned", "--json")
    assert done.code == 0
    summary = json.loads(done.out)
    assert summary["users"]["ids"] == 3 * 943
    for split in ("train", "test"):
        glob = f"{tmp_path}/out/{split}/*.parquet"
        assert sql(f"SELECT count(*) FROM '{glob}'").fetchall() == [(summary[split]["written"],)]
        assert pl.scan_parquet(glob).select(pl.len()).collect().item() == summary[split]["written"]


# --- bad input -------------------------------------------------------------------------------------------------------

GOOD = "user_id,item_id,timestamp\n" + "".join(
    f"{user},{item},{10 * user + item}\n"
    for user in range(9)
    for item in range(7)
    if item <= user % 7 + 1 or item * user % 4 == 1
)
LAST = GOOD.count("\n") + 1
"""Number of the line after those of `GOOD`."""


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "no such file or folder: .*data.csv"),
        ("", [], "data.csv is empty"),
        ("who,what\n1,2\n", [], "who.*what"),
        (GOOD, ["--user-column", "customer"], "customer.*user_id"),
        (GOOD + "3,4,noon\n", [], rf"data.csv, line {LAST}.*noon"),
        (GOOD + "3,4\n", [], rf"data.csv, line {LAST}"),
        (GOOD + "3,4,nan\n", [], rf"data.csv, line {LAST}.*(?i:nan)"),
        (GOOD + "3,4,-5\n", [], r"(?i)negative.*timestamp|timestamp.*negative"),
        ("user_id,item_id,timestamp\n1,1,1\n1,2,2\n", [], "1 user and 2 items; at least 2 of each are needed"),
        ("user_id,item_id,timestamp\n1,1,1\n2,1,2\n3,1,3\n", [], "3 users and 1 item; at least 2 of each are needed"),
        (
            "user_id,item_id,timestamp\n1,1,1\n2,2,1\n3,3,1\n",
            [],
            "leaves 0 users .*Dropped 3 users with fewer than 2 ",
        ),
        (GOOD, ["--user-multiplier", 10], "user multiplier 10 does not fit a base of 9 users"),
        (GOOD, ["--item-multiplier", 8], "item multiplier 8 does not fit a base of 7 items"),
        (GOOD, ["--split", "none", "--drop-incomplete"], "--drop-incomplete would leave nothing"),
        (GOOD, ["--parts", 10_000], "--parts is 10000"),
        (GOOD, ["--min-timestamps", 100], "leaves 0 users .*Dropped 9 users with fewer than 100 distinct timestamps"),
    ],
)
def test_bad_sources_are_refused(tmp_path: Path, content: str | None, options: list[Any], message: str) -> None:
    file = tmp_path / "data.csv"
    if content is not None:
        file.write_text(content)
    size = ["--user-multiplier", 2, "--item-multiplier", 2]
    done = run("expand", file, tmp_path / "out", *size, "--shuffle", "aligned", *options)
    refused(done, message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--user-multiplier", 0], "--user-multiplier is 0; it must be a whole number of at least 1"),
        (["--item-multiplier", -3], "--item-multiplier is -3; it must be a whole number of at least 1"),
        (["--user-multiplier", "many"], "user-multiplier': .*valid integer"),
        (["--min-keep", 1.5], "--min-keep is 1.5; it must be from 0 to 1"),
        (["--max-keep", -1], "--max-keep is -1.0"),
        (["--min-keep", 0.5, "--max-keep", 0.4], "--min-keep 0.5 is above --max-keep 0.4"),
        (["--min-keep", "nan"], "--min-keep is nan"),
        (["--keep-scale", 0], "--keep-scale is 0.0; it must be above 0"),
        (["--block-keep", 2], "--block-keep is 2.0"),
        (["--seed", -1], "--seed is -1"),
        (["--profile", "fancy"], "'fancy' is not one of 'realistic', 'paper', 'traceable'"),
        (["--shuffle", "some"], "'some' is not one of"),
        (["--split", "first"], "'first' is not one of"),
        (["--input-format", "xml"], "'xml' is not one of"),
        (["--encoding", "best"], "'best' is not one of"),
        (["--compression", "gzip"], "--compression is .gzip.*none, lz4"),
        (["--compression", "zstd(99)"], r"--compression is .zstd\(99\)"),
        (["--row-group-size", 0], "--row-group-size is 0"),
        (["--parts", 0], "--parts is 0; it must be a whole number of at least 1"),
        (["--source-licence", " "], "--source-licence is ' '; it must be readable text"),
        (["--threads", 0], "--threads is 0; it must be at least 1"),
        (["--user-cell-size", 0], "--user-cell-size is 0; it must be a whole number of at least 1"),
        (["--shuffle", "block", "--user-cell-size", 2], "--user-cell-size is given, but the shuffle 'block'"),
        (["--reduced-matrix", "none.npy"], "No such file or directory: none.npy"),
        (["--compression", "zstd(0)"], r"must be one of none, lz4, snappy, zstd, zstd\(1\)"),
        (["--reduced-matrix", "m.npy", "--rescale", "minmax"], "but --reduced-matrix is given"),
        (["--min-timestamps", "-1"], "--min-timestamps is -1"),
        (["--colour", "red"], "No such option"),
    ],
)
def test_bad_options_are_refused_before_the_source_is_read(
    tmp_path: Path, options: list[Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the source is read")

    monkeypatch.setenv("COLUMNS", "200")
    if "--min-timestamps" not in options:
        monkeypatch.setattr("fractalrs.workflow.sources.read_interactions", never)
    (tmp_path / "data.csv").write_text(GOOD)
    size = ["--user-multiplier", 2, "--item-multiplier", 2]
    refused(run("expand", tmp_path / "data.csv", tmp_path / "out", *size, *options), message)
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    refused(
        run("expand", "sample", tmp_path / "out"),
        "--user-multiplier is missing hint: give both multipliers, --target-interactions, --target-size or --reduced-",
    )
    refused(run("expand", "sample"), "Missing argument 'OUTPUT'")
    refused(run("expend"), "No such command 'expend'")


@pytest.mark.parametrize("name", ["notes.txt", "train/extra.parquet", "private/key"])
def test_outputs_with_anything_not_ours_are_refused_first(
    source: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    assert expand(source, path, "--shuffle", "aligned").code == 0
    (path / name).write_text("mine")
    before = stamps(path)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the source is read")

    monkeypatch.setattr("fractalrs.workflow.sources.read_interactions", never)
    for options in ([], ["--overwrite"], ["--seed", 3, "--overwrite"], ["--dry-run"]):
        refused(expand(source, path, "--shuffle", "aligned", *options), f"holds what is not ours: {name}")
    assert stamps(path) == before


def test_outputs_that_cannot_be(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    refused(expand(source, file), "file is a file")
    refused(expand(source, file / "out"), "file is not a folder that may be written to")
    assert file.read_text() == "mine"
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(expand(source, tmp_path / "out"), "cannot create .*out")


def test_too_little_free_disk_names_what_it_needs_and_has(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fractalrs.tools.machine.free_disk", lambda _: 12_000)
    refused(expand(source, tmp_path / "out"), r"too little free disk .*needs about [\d.]+ kB, 12 kB are free")
    assert not (tmp_path / "out").exists()


def test_damaged_parts_are_named(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert expand(source, path, "--shuffle", "aligned").code == 0
    file = files_of(path, "train")[0]
    file.write_bytes(file.read_bytes()[:-9])
    refused(expand(source, path, "--shuffle", "aligned"), "part-00000-of-00001.parquet is damaged hint: delete it")


def test_a_broken_plan_is_not_ours(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert expand(source, path, "--shuffle", "aligned").code == 0
    for content in ("{", "[]", "{}", '{"writing": {"parts": 1}}'):
        (path / "private/plan.json").write_text(content)
        for command in (["expand", source, path, *SIZE], ["expand", source, path, *SIZE, "--overwrite"]):
            refused(run(*command), "plan.json|not ours")
    assert fr.open_dataset(path).totals["files"] == 2
