"""The house: no circle of imports, no private import, small files and functions, few modules at the top."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "python"
LINES_OF_A_FILE = 450
LINES_OF_A_FUNCTION = 80
MODULES_AT_THE_TOP = 12


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in sorted(ROOT.rglob("*.py"))}
TREES = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in FILES.items()}
"""Every module; a package stands for its face."""


def imported(module: str) -> Iterator[tuple[str, str | None]]:
    """Yield what a module imports, in functions and for annotations too: a module, and a name of it."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            yield from ((str(node.module), alias.name) for alias in node.names)


def needs(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    found = {f"{source}.{name}" if f"{source}.{name}" in FILES else source for source, name in imported(module)}
    return found & FILES.keys()


def test_no_circle() -> None:
    # The root face loads nothing by itself, and a package's face is imported from outside only.
    graph = {module: needs(module) for module in FILES if module not in ("fractalrs", "fractalrs.__main__")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from None


def test_no_private_name_leaves_its_module() -> None:
    for module in FILES:
        for source, name in imported(module):
            private = name is not None and name.startswith("_") and not name.startswith("__") and name != "_core"
            assert not (private and source.startswith("fractalrs")), f"{module} imports {name} from {source}"


def test_files_are_small() -> None:
    sizes = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in FILES.items()}
    assert {module: lines for module, lines in sizes.items() if lines > LINES_OF_A_FILE} == {}


def test_functions_are_small() -> None:
    large = {
        f"{module}.{node.name}": lines
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := int(node.end_lineno or 0) - node.lineno + 1) > LINES_OF_A_FUNCTION
    }
    assert large == {}


def test_few_modules_at_the_top() -> None:
    top = sorted(file.name for file in FILES.values() if file.parent == ROOT / "fractalrs")
    assert len(top) <= MODULES_AT_THE_TOP, top


def test_files_of_a_data_set_are_written_as_bytes() -> None:
    # As text, every system would have ends of lines of its own, and another digest.
    found = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        if module.startswith(("fractalrs.dataset.", "fractalrs.workflow."))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "write_text"
    ]
    assert found == []
