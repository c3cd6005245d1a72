"""How lines of text are split into cells, and what quotes are in them."""

import csv


def is_quoted(lines: list[str], delimiter: str) -> bool:
    """Return whether cells may stand in quotes: between commas and the like; elsewhere a quote is a character."""
    return len(delimiter.encode()) == 1 and (delimiter not in "\t " or lines[0].startswith('"'))


def is_escaped(lines: list[str], delimiter: str, whole: bool) -> bool:
    r"""Return whether ``\"`` is a quote within quotes, as Spark writes it: only so, or better so, lines are a table."""

    def fit(escape: str | None) -> tuple[bool, bool, int]:
        found: list[int] = []
        reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, escapechar=escape, strict=True)
        try:
            found.extend(len(row) for row in reader if row)
        except csv.Error:
            # The last row is perhaps cut inside quotes.
            if whole or reader.line_num < len(lines):
                return False, False, 0
        return True, len(set(found)) == 1, len(found)

    return fit("\\") > fit(None)


def split(lines: list[str], delimiter: str, quoted: bool, escape: str | None = None) -> list[list[str]]:
    """Return the cells of each line; within quotes a line may go on."""
    if not quoted:
        return [line.split(delimiter) for line in lines if line]
    try:
        reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, escapechar=escape)
        return [row for row in reader if row]
    except csv.Error:  # a quote that is never closed
        return split(lines, delimiter, False)
