"""What is drawn of our own values: degrees and density are counted, all that takes longer a report has already."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from fractalrs.base import SINGULAR_VALUES, Base, truncated_svd
from fractalrs.dataset import Dataset
from fractalrs.errors import InputError
from fractalrs.expansion import Expansion, Fit, ReducedMatrix
from fractalrs.passes import StreamedMatrix
from fractalrs.statistics import Curve
from fractalrs.words import USERS, Side


@runtime_checkable
class Validated(Protocol):
    """A report of a validation, which has curves and maps by the names of its figures."""

    @property
    def findings(self) -> Any:
        """What was found: `curves` by figure and label, `maps` by figure."""


Value = Base | Expansion | Dataset | ReducedMatrix | Fit
"""What interactions or matrices are taken from."""
Series = Mapping[str, npt.ArrayLike | Curve | Value] | Value | Validated
Curves = Mapping[str, npt.ArrayLike | Curve] | Validated

_Labelled = Mapping[str, npt.ArrayLike | Curve]
_HAS_IT = "draw the report of a validation: fractalrs.validate"


def curves_of(curves: Curves, figure: str) -> _Labelled:
    """Return curves as they are, or those of a figure of a report."""
    if not isinstance(curves, Validated):
        return _mapping(curves)
    found: dict[str, _Labelled] = curves.findings.curves
    if figure not in found:
        raise _lacks(figure, found)
    return found[figure]


def map_of(value: npt.ArrayLike | Validated, figure: str) -> npt.ArrayLike:
    """Return a matrix as it is, or the map of a report."""
    if not isinstance(value, Validated):
        return value
    found: dict[str, npt.ArrayLike] = value.findings.maps
    if figure not in found:
        raise _lacks(figure, found)
    return found[figure]


def degrees_of(series: Series, side: Side) -> _Labelled:
    """Return degrees by label: those of the train interactions of our values."""
    if isinstance(series, Validated):
        return curves_of(series, f"{side.singular}_degrees")

    def degrees(value: Any) -> npt.ArrayLike | Curve:
        if isinstance(value, Base):
            return value.user_degrees("train") if side == USERS else value.item_degrees("train")
        if isinstance(value, Expansion | Dataset):
            found = StreamedMatrix(value).degrees(each_item=side != USERS)
            return found.user_train if side == USERS else found.item_train
        return _raw(value, "degrees of interactions")

    return {label: degrees(value) for label, value in _labelled(series).items()}


def singular_values_of(series: Series) -> _Labelled:
    """Return singular values by label: those of the train part, up to 64, or of a reduced matrix."""
    if isinstance(series, Validated):
        return curves_of(series, "singular_values")

    def values(value: Any) -> npt.ArrayLike | Curve:
        if isinstance(value, Base):
            return truncated_svd(value.train, min(SINGULAR_VALUES, *value.shape), seed=0).s
        if isinstance(value, ReducedMatrix | Fit):
            return (value.reduced if isinstance(value, Fit) else value).singular_values
        return _raw(value, "singular values at once")

    return {label: values(value) for label, value in _labelled(series).items()}


def keep_rates_of(value: npt.ArrayLike | Value | Validated) -> npt.ArrayLike:
    """Return the keep rates of an expansion, or the entries of a reduced matrix."""
    if isinstance(value, Expansion):
        return value.keep_rates
    if isinstance(value, ReducedMatrix | Fit):
        return (value.reduced if isinstance(value, Fit) else value).values
    if isinstance(value, Base | Dataset):
        raise InputError(f"{_named(value)} has no keep rates", hint=f"draw an Expansion, or {_HAS_IT}")
    return map_of(value, "keep_rates")


def density_of(value: npt.ArrayLike | Value | Validated) -> npt.ArrayLike:
    """Return the train interactions of our values in bins of contiguous users × items."""
    if isinstance(value, Base | Expansion | Dataset):
        return StreamedMatrix(value).degrees().density
    if isinstance(value, ReducedMatrix | Fit):
        raise InputError(f"{_named(value)} has no interactions", hint="draw an Expansion of it")
    return map_of(value, "density")


def _labelled(series: Any) -> Mapping[str, Any]:
    if isinstance(series, Value):
        label = "real" if isinstance(series, Base) else "reduced" if isinstance(series, ReducedMatrix | Fit) else ""
        return {label or "synthetic": series}
    return _mapping(series)


def _mapping(series: Any) -> Mapping[str, Any]:
    if not isinstance(series, Mapping):
        raise InputError(
            f"{_named(series)} cannot be drawn here", hint="give labels with what they stand for, or a report"
        )
    return series


def _raw(value: Any, what: str) -> npt.ArrayLike | Curve:
    if isinstance(value, Value):
        raise InputError(f"{_named(value)} has no {what}", hint=_HAS_IT)
    drawn: npt.ArrayLike | Curve = value
    return drawn


def _named(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


def _lacks(figure: str, found: Mapping[str, Any]) -> InputError:
    there = f"it has {', '.join(found)}" if found else "validate without only='integrity'"
    return InputError(f"the report has no figure {figure!r}", hint=there)
