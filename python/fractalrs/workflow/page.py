"""Options as a page of text: a configuration, or a data set's recipe, which makes the same data set again.

A recipe holds all options, the reduced matrix in full, and the fingerprints of source and data set. The matrix and the
fit come from floating-point decompositions, which another machine may round otherwise: so it is carried, and the fit is
not made again. Cells, where the shuffle has any, are too many for a page. They are grouped again, which takes a
rounding at the very edge between two of them to come out otherwise; the fingerprint tells, and then nothing is written.
"""

import base64
import json
import os
import shlex
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fractalrs._core import GENERATOR
from fractalrs.base import Base
from fractalrs.dataset import ParquetOptions, Plan, Private
from fractalrs.errors import InputError
from fractalrs.expansion import (
    Cells,
    Expansion,
    Group,
    Options,
    ReducedMatrix,
    fitted_cells,
    group_cells,
    operator_named,
    profile_named,
    shuffle_named,
)
from fractalrs.tools import Place, as_path, blas_threads, read_toml, store_of, untrusted
from fractalrs.words import SIDES
from fractalrs.workflow.recipe import RECIPE, SOMETIMES, Recipe

CELLS = "cells.npz"
"""Beside a recipe, the cells of its data set, as they are in ``private/``: then none are grouped."""
_TYPES: dict[str, dict[str, type]] = {
    "source": {"fingerprint": str, "users": int, "items": int, "train": int, "test": int},
    "data_set": {"fractalrs": str, "generator": int, "expansion": str, "plan": str, "attributes": list},
    "reduced_matrix": {"description": str, "coordinates": int, "fitted": bool, "values": str},
}
_TABLES = tuple(_TYPES)
_HEAD = """\
# A recipe by fractalrs {version}: with the same source it makes the same data set again, bit for bit.
#
#   fractalrs expand --recipe THIS_FILE SOURCE OUTPUT{option}
#
# {seed}
"""
_TOLD = "It holds the seed: whoever has it and the source can undo every shuffle."
_NOT_TOLD = "It lacks the seed, with which every shuffle could be undone: ask whoever made the data set."
_FROM_PYTHON = "# The data set was written from Python: how its source was read is not said here."


def recipe_text(path: Place) -> str:
    """Return the recipe of a data set, from its ``private/``.

    Raises
    ------
    InputError
        If ``private/`` is not there, or the data set was made by a function or of a private base.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fr.expand("sample", f"{folder}/out", user_multiplier=1, item_multiplier=2, profile="paper")
    ...     text = recipe_text(made.path)
    >>> 'profile = "paper"' in text
    True
    """
    private = Private.of_store(store := store_of(path))
    if private is None:
        raise InputError(f"{store.path} has no private/plan.json", hint="the folder that was written first has one")
    page = page_text(private)
    if private.plan.base.privacy is not None:
        raise InputError(
            f"{store.path} was made of a private base, which noise makes another one each time",
            hint="keep private/base: fractalrs.Base.load reads it",
        )
    if page is None:
        message = f"{store.path} was made by a function, which no page of text holds"
        raise InputError(message, hint="keep the program that made it")
    return page


def page_text(private: Private, *, with_seed: bool = True) -> str | None:
    """Return the recipe of a data set, without its seed unless told to; `None` if a function made it, or noise.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fr.expand("sample", f"{folder}/out", user_multiplier=1, item_multiplier=2, profile="paper", seed=77)
    ...     "77" in page_text(Private.read(made.path), with_seed=False)
    False
    """
    plan, reduced = private.plan, private.reduced
    if operator_named(plan.options.operator).is_function or plan.base.privacy is not None:
        return None
    option, seed = ("", _TOLD) if with_seed else (" --seed SEED", _NOT_TOLD)
    options = {name: value for name, value in _options(plan).items() if with_seed or name != "seed"}
    lines = [_HEAD.format(version=plan.fractalrs, option=option, seed=seed)]
    lines += [*([_FROM_PYTHON] if plan.recipe is None else []), *_lines(options)]
    base = {name: value for name, value in asdict(plan.base).items() if value is not None}
    lines += ["", "[source]", *_lines(base)]
    lines += ["", "[data_set]"]
    made = {"fractalrs": plan.fractalrs, "generator": plan.generator}
    made |= {"expansion": plan.expansion_fingerprint, "plan": plan.fingerprint}
    lines += _lines(made | {"attributes": sorted(plan.attribute_fingerprints)})
    lines += ["", "[reduced_matrix]", f"description = {json.dumps(json.dumps(_described(plan, with_seed)))}"]
    found = plan.reduced.get("fit", {})
    lines += _lines({"coordinates": found.get("coordinates", 16), "fitted": bool(found)})
    lines += [f"values = '''\n{_encoded(reduced.values)}\n'''"]
    if operator_named(plan.options.operator).multiplies:
        lines += [f"signed = '''\n{_encoded(reduced.signed)}\n'''"]
    return "\n".join(lines)


def _described(plan: Plan, with_seed: bool) -> dict[str, Any]:
    """Return how the reduced matrix came about: to others without statistics of the source."""
    described = dict(plan.reduced)
    if "fit" in described and not with_seed:
        ginis = {f"gini_of_{side}": {"expected": described["fit"][f"gini_of_{side}"]["expected"]} for side in SIDES}
        described["fit"] = described["fit"] | ginis
    return described


def command_text(plan: Plan) -> str:
    """Return the command line that makes a data set like this, without its seed.

    Examples
    --------
    >>> import tempfile
    >>> import fractalrs as fr
    >>> from fractalrs.dataset import Folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fr.expand("sample", f"{folder}/out", user_multiplier=1, item_multiplier=2, profile="paper", seed=3)
    ...     command_text(Folder.read(made.path).plan)
    'fractalrs expand SOURCE OUTPUT --user-multiplier 1 --item-multiplier 2 --profile paper'
    """
    usual, chosen = Options.resolve(plan.profile), _options(plan)
    plain = asdict(usual) | {"seed": chosen.get("seed"), **asdict(ParquetOptions()), "fit": False}
    plain["ties"] = profile_named(plan.profile).ties
    plain |= {name: chosen.get(name) for name in ("parts", "user_cell_size", "item_cell_size", "source_licence")}
    words = ["fractalrs expand SOURCE OUTPUT"]
    for name, value in chosen.items():
        if value != plain.get(name, RECIPE[name].default):
            option = f"--{name.replace('_', '-')}"
            values = [""] if value is True else list(value) if isinstance(value, list | tuple) else [value]
            words += [shlex.join(filter(None, [option, str(each)])) for each in values]
    return " ".join(words)


def _options(plan: Plan) -> dict[str, Any]:
    """Return the options of a plan, those that were chosen for it too."""
    given = {}
    if plan.recipe is not None:
        read, names = Recipe.of_plan(plan), [name for name, one in RECIPE.items() if one.group == Group.READING]
        names += ["split", "ties", "min_timestamps", *SOMETIMES]
        given = {name: getattr(read, name) for name in names if getattr(read, name) != RECIPE[name].default}
    found = {"profile": plan.profile, "user_multiplier": plan.user_multiplier, "item_multiplier": plan.item_multiplier}
    found |= given | asdict(plan.options)
    if shuffle_named(plan.options.shuffle).takes_cells:
        found |= {"fit": False, "user_cell_size": plan.user_cell_size, "item_cell_size": plan.item_cell_size}
    found |= {"parts": plan.part_count, **asdict(plan.parquet), "source_licence": plan.source_licence}
    found |= {"partition": plan.partition}
    return {name: found[name] for name in RECIPE if found.get(name) not in (None, ())}


def _lines(values: dict[str, Any]) -> list[str]:
    # JSON writes these as TOML does.
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def _encoded(matrix: npt.NDArray[np.float64]) -> str:
    text = base64.b85encode(matrix.astype("<f8").tobytes()).decode()
    return "\n".join(textwrap.wrap(text, 100, break_on_hyphens=False))


@dataclass(frozen=True)
class Page:
    """What a page says: options, and of a recipe what comes of them.

    Attributes
    ----------
    path, options
        The file, and the options in it by their names in Python.
    made
        The tables of a recipe by their names; empty for a plain configuration.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile("w+", suffix=".toml") as file:
    ...     print("user-multiplier = 4", file=file, flush=True)
    ...     Page.read(file.name).options
    {'user_multiplier': 4}
    """

    path: Path
    options: dict[str, Any]
    made: dict[str, Any]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a page; refuse what is none, and a recipe of another generator.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        InputError
            If it is no TOML, or not as it should be.
        """
        file = as_path("config", path)
        content = read_toml(file, "write lines such as user_multiplier = 4")
        if "truth" in content:
            raise InputError(
                f"{path} has truth, which is no option of a recipe", hint="give it with the command: --truth"
            )
        made = {name: content.pop(name) for name in _TABLES if name in content}
        page = cls(file, {name.replace("-", "_"): value for name, value in content.items()}, made)
        if made:
            with untrusted(f"the recipe {path}", "get it anew"):
                for table, kinds in _TYPES.items():
                    for name, kind in kinds.items():
                        if type(made[table][name]) is not kind:
                            raise TypeError(f"{name} is {made[table][name]!r}")
                _ = page.reduced
            generator, version = made["data_set"]["generator"], made["data_set"]["fractalrs"]
            if generator != GENERATOR:
                raise InputError(
                    f"the recipe {path} is for generator {generator}, this version has generator {GENERATOR}",
                    hint=f"use fractalrs {version}",
                )
        return page

    def with_options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return its options with others over them; a recipe makes one data set, and takes none that change it."""
        if self.made:
            kept = {*(name for name, one in RECIPE.items() if one.group == Group.READING)}
            kept |= {"item_attributes", "user_attributes", *({"seed"} - self.options.keys())}
            if "seed" not in self.options | given:
                raise InputError(f"the recipe {self.path} has no seed", hint="give the one of its data set: --seed")
            for name in given.keys() - kept:
                raise InputError(
                    f"{name} is given, but the recipe {self.path} says what is made",
                    hint="leave it out; to make another data set, take the tables from [source] on out of the file",
                )
        return self.options | given

    @property
    def reduced(self) -> ReducedMatrix:
        """The reduced matrix of a recipe."""
        shape, table = (self.options["user_multiplier"], self.options["item_multiplier"]), self.made["reduced_matrix"]

        def matrix(text: str) -> npt.NDArray[np.float64]:
            return np.frombuffer(base64.b85decode("".join(text.split())), "<f8").reshape(shape)

        values = matrix(table["values"])
        signed = matrix(table["signed"]) if "signed" in table else values
        found = ReducedMatrix.from_array(values)
        return ReducedMatrix(values, signed, found.singular_values, json.loads(table["description"]))

    def cells(self, base: Base) -> Cells:
        """Group users and items as they were for the recipe, or take the cells from beside it."""
        beside = self.path.parent / CELLS
        if beside.is_file():
            return Cells.load(beside)
        sizes = self.options["user_cell_size"], self.options["item_cell_size"]
        made = self.made["reduced_matrix"]
        with blas_threads(1):
            if made["fitted"]:
                return fitted_cells(base, *sizes, made["coordinates"], self.reduced.shape)
            return group_cells(base, *sizes, made["coordinates"])

    def check_source(self, base: Base) -> None:
        """Refuse another source than the recipe's."""
        there, here = self.made["source"], base.fingerprint
        if there["fingerprint"] != here:
            counts = (
                f"{there['users']:,} users, {there['items']:,} items, {there['train'] + there['test']:,} interactions"
            )
            found = f"{base.shape[0]:,} users, {base.shape[1]:,} items, {base.count:,} interactions"
            raise InputError(
                f"this is not the source of the recipe {self.path}: it is of {counts} (fingerprint "
                f"{there['fingerprint'][:12]}), here are {found} ({here[:12]})",
                hint="take the very file that the recipe was made from",
            )

    def check_expansion(self, expansion: Expansion) -> None:
        """Refuse an expansion that is not the recipe's."""
        if expansion.fingerprint == self.made["data_set"]["expansion"]:
            return
        if "seed" not in self.options:
            raise InputError(
                f"this would not be the data set of the recipe {self.path}, which does not tell the seed",
                hint="is --seed the one of that data set?",
            )
        if shuffle_named(expansion.options.shuffle).takes_cells:
            raise InputError(
                f"this would not be the data set of the recipe {self.path}: users or items were grouped into other "
                "cells, because this machine rounds a singular value decomposition otherwise",
                hint=f"put private/{CELLS} of the first data set beside the recipe, and give the same command again",
            )
        raise InputError(f"this would not be the data set of the recipe {self.path}", hint="get the recipe anew")

    def check_plan(self, plan: Plan) -> str | None:
        """Return what differs in the bytes of files, though the interactions are the same."""
        if plan.fingerprint == self.made["data_set"]["plan"]:
            return None
        missing = [kind for kind in self.made["data_set"]["attributes"] if kind not in plan.attribute_fingerprints]
        if missing:
            kinds = " and ".join(f"--{kind.removesuffix('s')}-attributes" for kind in missing)
            return f"the interactions are those of the recipe; its data set has attributes too: give {kinds}"
        version = self.made["data_set"]["fractalrs"]
        return f"the interactions are those of the recipe; bytes of files may differ: fractalrs {version} wrote it"
