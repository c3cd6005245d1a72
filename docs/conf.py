"""What Sphinx makes of these pages: `make docs`."""

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import fractalrs

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from generated_pages import api_page, command_page, public_names  # noqa: E402

METADATA = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "fractalrs"
author = METADATA["authors"][0]["name"]
version = release = fractalrs.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
autosummary_filename_map = {name: f"{name}-class" for name in public_names() if not name.rpartition(".")[2].islower()}
exclude_patterns = ["_build", "raw"]
templates_path = ["templates"]
autodoc_mock_imports = ["torch", "pyspark", "ray", "gymnasium"]
html_theme = "pydata_sphinx_theme"
html_title = "fractalrs"
html_baseurl = METADATA["urls"]["Documentation"]
html_theme_options = {
    "external_links": [{"name": "Source", "url": METADATA["urls"]["Repository"]}],
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
project_copyright = f"{author}, Apache-2.0"
html_sidebars = {"getting-started": [], "profiles": [], "changelog": []}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True
# What a library says on the side is not part of a page.
nb_output_stderr = "remove"
suppress_warnings = ["mystnb.unknown_mime_type"]
# The pages' commands are those of the environment that builds them.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["COLUMNS"] = "110"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

GENERATED = HERE / "generated"
GENERATED.mkdir(exist_ok=True)
(GENERATED / "api.rst").write_text(api_page(), encoding="utf-8")
(GENERATED / "commands.md").write_text(command_page(), encoding="utf-8")


def every_public_name_is_there(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn, and so fail, where the reference lacks a public name."""
    documented = env.get_domain("py").get_objects()
    missing = sorted(set(public_names()) - {name for name, *_ in documented})
    for name in missing:
        logging.getLogger(__name__).warning("the API reference lacks %s", name)


def bars_are_bars(_: Sphinx, __: str, ___: str, ____: object, _____: object, lines: list[str]) -> None:
    """Take |x| in a docstring for the size of x, which reStructuredText would substitute."""
    for number, line in enumerate(lines):
        if ">>>" not in line:
            texts = line.split("``")
            texts[::2] = [re.sub(r"\|(?=\S)", r"\|", text) for text in texts[::2]]
            lines[number] = "``".join(texts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add what is done with each docstring, and what is checked once all pages are read."""
    app.connect("autodoc-process-docstring", bars_are_bars)
    app.connect("env-check-consistency", every_public_name_is_there)
    return {"parallel_read_safe": True}
