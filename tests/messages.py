"""Print every refusal of the program with its advice, to be read in one list as a user would: python tests/messages.py.

What stands in braces is filled in; a message without advice ends with its own line. Advice is a hint, or what the
message says that something must be: `rows is 0; it must be at least 1`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "python/fractalrs"
KINDS = ("InputError", "OutputError", "WriteError")
SAYS_WHAT_MUST_BE = re.compile(r"\bmust (be|have|hold)\b")
"""A message that tells what the value must be is its own advice."""


def messages() -> Iterator[tuple[str, str, str | None]]:
    """Yield where each is raised, the message and the advice, as they stand in the program."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                hints = [node.args[1:2], [one.value for one in node.keywords if one.arg == "hint"]]
                hint = next((_text(found[0]) for found in hints if found), None)
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", _text(node.args[0]), hint


def _text(node: ast.expr) -> str:
    """Return a text as it is read, with what is filled in between braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return f"{{{ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node)}}}"


if __name__ == "__main__":
    for place, message, hint in messages():
        print(f"{message}{f'  hint: {hint}' if hint else ''}  [{place}]")
