"""Pages as files, and pages of others that look like the report."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from fractalrs.tools import as_path, drawing, write_text
from fractalrs.validation.wording import number, words


def page_like(template: str, **values: Any) -> str:
    """Return a page with the look of the report: a Jinja template that extends ``report.html.jinja``.

    It fills the blocks ``title`` and ``content``; the filter ``number`` writes numbers for people.

    Raises
    ------
    InputError
        If what draws is not installed.

    Examples
    --------
    >>> template = '{% extends "report.html.jinja" %}{% block content %}<h1>{{ 0.5 | number }}</h1>{% endblock %}'
    >>> "<h1>0.5</h1>" in page_like(template + "{% block title %}A page{% endblock %}")
    True
    """
    with drawing():
        from fractalrs import plot
        from fractalrs.validation.report.html import environment
    return environment().from_string(template).render(looks=plot.LOOKS, **values)


def inline_figure(axes: Callable[[], Any], name: str, title: str, description: str) -> Any:
    """Return a figure as SVG for a page that looks like the report: `axes` draws it; its legend is left out.

    Raises
    ------
    InputError
        If what draws is not installed.

    Examples
    --------
    >>> from fractalrs import plot
    >>> "<svg" in inline_figure(lambda: plot.by_round({"random": [[0.9, 1.0]]}), "coverage", "Coverage", "rises")
    True
    """
    with drawing():
        from fractalrs.validation.report.html import figure_style, inline
    with figure_style():
        return inline(axes(), name, title, description)


def write_page_like(path: str | Path, package: str, template: str, seconds: Mapping[str, float], **values: Any) -> None:
    """Write a page with the look of the report, from a template of a package; its footer has the seconds taken.

    Raises
    ------
    OutputError
        If the file cannot be written.
    InputError
        If the path is none, or what draws is not installed.

    Examples
    --------
    >>> from fractalrs.errors import InputError
    >>> try:
    ...     write_page_like(7, "fractalrs.evaluation", "backcast.html.jinja", {})
    ... except InputError as error:
    ...     print(error.message)
    path is 7
    """
    target = as_path("path", path)
    text = files(package).joinpath(template).read_text(encoding="utf-8")
    taken = [(words(name), number(value)) for name, value in seconds.items()]
    write_text(target, page_like(text, seconds=taken, **values))
