"""`fractalrs info`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fractalrs.base import Privacy
from fractalrs.cli.output import StorageOption, attributes_of, flag, place_of, print_content, warnings_of
from fractalrs.dataset import TRUTH_MANIFEST, Dataset, Folder, TruthManifest
from fractalrs.workflow import recipe_text


def info(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder or URL of a data set.")],
    as_json: Annotated[bool, flag(None, "--json", "Print one JSON object on stdout.")] = False,
    recipe: Annotated[
        bool,
        flag(
            None,
            "--recipe",
            "Print its recipe instead, a page of text: `fractalrs expand --recipe` makes it again. It holds the seed.",
        ),
    ] = False,
    storage_option: StorageOption = None,
) -> None:
    """Run the command."""
    dataset = Dataset(place_of(output, storage_option))
    if recipe:
        print(recipe_text(dataset.store))
        return
    (users, items), (p, q), (m, n) = dataset.shape, dataset.block_shape, dataset.multipliers
    content = {
        "output": str(dataset.place),
        "users": {"ids": users},
        "items": {"ids": items},
        "base": {"users": p, "items": q},
        "multipliers": {"user": m, "item": n},
        "profile": dataset.profile,
        "shuffle": dataset.shuffle,
        "operator": dataset.operator,
        "order": dataset.order,
        "id_order": dataset.id_order,
        **dataset.totals,
        "parts": len(dataset.parts),
        "schema": {column.name: str(column.type) for column in dataset.schema},
        **attributes_of(dataset),
        **warnings_of(dataset.manifest.warnings),
        "made_by": {"fractalrs": dataset.manifest.fractalrs, "generator": dataset.manifest.generator},
        **_promised(dataset.manifest.privacy),
        **_truth(dataset),
        "private": _private(Folder.read(dataset.store)),
    }
    print_content(content, as_json)


def _truth(dataset: Dataset) -> dict[str, Any]:
    there = TRUTH_MANIFEST in dataset.store.sizes([TRUTH_MANIFEST])
    return {"truth": TruthManifest.read(dataset.store).totals} if there else {}


def _private(folder: Folder) -> str:
    if folder.unreadable is not None and folder.unreadable.startswith("private/"):
        return "there, and may not be read"
    return "there: keep it at home" if folder.plan else "not there"


def _promised(privacy: Privacy | None) -> dict[str, Any]:
    if privacy is None:
        return {}
    promised = {"epsilon": privacy.epsilon, "delta": privacy.delta, "unit": privacy.unit}
    return {"private_base": promised | {"queries": len(privacy.ledger)}}
