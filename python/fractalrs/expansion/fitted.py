"""What an expansion takes from a fit."""

from typing import Any

from fractalrs.errors import InputError
from fractalrs.expansion.cells import Cells
from fractalrs.expansion.fitting import Fit
from fractalrs.expansion.options import Options
from fractalrs.expansion.reduction import ReducedMatrix
from fractalrs.expansion.shuffles import shuffle_named


def of_fit(
    fitted: Fit, profile: str, cells: Cells | None, options: dict[str, Any]
) -> tuple[ReducedMatrix, Cells, dict[str, Any]]:
    """Return what an expansion takes from a fit; refuse what it was not made for."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in fitted.rates.items():
        if given.get(name, value) != value:
            raise InputError(f"{name} is {given[name]}, but the fit was made for {value:g}", f"fit again with {name}")
    if cells is not None:
        raise InputError("cells are given, but the fit has its own", hint="take fit.reduced with cells of your own")
    if not shuffle_named(Options.resolve(profile, **given).shuffle).takes_cells:
        raise InputError("a fit is for the shuffles 'mixed' and 'cells'", "take profile realistic, or reduce instead")
    return fitted.reduced, fitted.cells, given | fitted.rates
