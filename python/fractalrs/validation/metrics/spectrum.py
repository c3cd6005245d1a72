"""Singular values, as ratios to the first: how much of the data a few tastes explain."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fractalrs.statistics import Curve, Floats, effective_rank, kronecker, log_slope, predicted, ratio_error, ratios
from fractalrs.validation.measure.measured import Compared, Measured
from fractalrs.validation.metrics.spec import Family, FigureSpec, MetricSpec, Values, curves, difference, distance
from fractalrs.validation.wording import last_ratios

_LEAST = 1e-4
"""Smaller predictions, over the largest, are compared as if they were so large."""
_TINY = float(np.finfo(np.float64).tiny)
_PREDICTED = (
    "largest |σ / σ̂ − 1|, σ̂² = θ² + (u_Kᵀ diag(W·1) u_K)(u_Rᵀ diag(r) u_R) + (v_Kᵀ diag(Wᵀ·1) v_K)(v_Rᵀ diag(c) v_R): "
    "Theorem 1 with its noise terms"
)


def _ratio_error(place: int, count: int, measured: Measured) -> Values:
    spectrum, shared = measured.spectrum, _shared(measured)
    if count > 16 >= shared:
        return Values(note="needs more than 16 singular values", judged=False)
    bound = spectrum.bounds[:16] / np.maximum(spectrum.values[:16], _TINY)
    note = f"distance from real; residuals bound the error of the first 16 values by {bound.max():.1%}"
    note += "" if shared >= count else f"; of {shared} values"

    def error(real: Floats, compared: Floats) -> float | None:
        errors = ratio_error(real, compared, count)
        return None if errors is None else errors[place]

    return distance(measured.values, error, note)


def _shared(measured: Measured) -> int:
    """Return how many singular values real and synthetic data both have."""
    return min(len(measured.values.synthetic), len(measured.values.real))


def _whole(statistic: Callable[[Any], float | None], measured: Measured) -> Values:
    """Compare a statistic of whole spectra, of equally many values; R̂ has but min(m, n)."""
    shared, values = _shared(measured), vars(measured.values).values()
    compared = Compared(*(None if each is None else each[:shared] for each in values))
    note = f"of the first {shared}" + ("" if compared.reduced is None else f", reduced of {len(compared.reduced)}")
    return difference(compared, statistic, note)


def _first(measured: Measured) -> Values:
    values, total = measured.values, measured.interactions
    others = {label: float(getattr(values, label)[0]) / total**0.5 for label in ("synthetic", "thinned", "null")}
    return Values(float(values.real[0]) / measured.real.interactions**0.5, **others)


def _off_prediction(most: int | None, measured: Measured) -> Values | None:
    if not measured.plan.is_predictable:
        return None
    real, synthetic = measured.real, measured.values.synthetic
    # Beyond as many as are known of R, pairs of unknown ones would be missing.
    triples = measured.real_spectrum
    all_known = len(triples[0]) == min(len(real.user_degrees), len(real.item_degrees))
    known = len(synthetic) if all_known else _shared(measured)
    theory = predicted(measured.plan.keep_rates, *triples, known)
    # Where R has no more singular values the prediction is 0, and what was measured is rounding.
    least = max(_LEAST * theory.max(initial=0.0), _TINY)
    off = (np.abs(synthetic[: len(theory)] - theory) / np.maximum(theory, least))[:most]
    return Values(distance=float(off.max(initial=0.0)), note=f"largest relative error of {len(off)}")


def _values(measured: Measured) -> dict[str, Curve]:
    values = vars(measured.values).copy()
    if (keep := measured.keep) is not None:
        values["kronecker"] = kronecker(keep, values["real"], len(values["synthetic"]))
    return curves(ratios, values)


def _bounds(measured: Measured) -> dict[str, Curve]:
    spectrum = measured.spectrum
    numbers = np.arange(1.0, len(spectrum.values) + 1)
    return {"synthetic": Curve(numbers, spectrum.bounds / np.maximum(spectrum.values, _TINY))}


FAMILY = Family(
    section="spectrum",
    title="Singular values",
    explanation="How much of the data a few tastes explain.",
    metrics=(
        MetricSpec(
            "singular ratios 2 to 16, median error",
            partial(_ratio_error, 0, 16),
            "median of |(σₖ / σ₁) / (σₖ / σ₁ of real) − 1|, k from 2 to 16 (method paper, figures 1 and 4)",
            threshold=0.05,
            reason="on the sample the unshuffled product misses by 13 %, independent blocks by 90 %; thinning alone, "
            "which is not held against an expansion, moves sparse data by 6 to 7 % (MovieTweetings)",
            from_floor=True,
        ),
        MetricSpec(
            "singular ratios 2 to 16, largest error",
            partial(_ratio_error, 1, 16),
            "largest of |(σₖ / σ₁) / (σₖ / σ₁ of real) − 1|, k from 2 to 16 (method paper, figures 1 and 4)",
            threshold=0.12,
            reason="a median hides one taste that is lost, or doubled",
            from_floor=True,
        ),
        MetricSpec(
            "singular ratios 2 to 64, median error",
            partial(_ratio_error, 0, 64),
            "median of |(σₖ / σ₁) / (σₖ / σ₁ of real) − 1|, k from 2 to 64, or as many as there are",
            threshold=0.08,
            reason="the later a value, the more of it is noise, real or added",
            from_floor=True,
        ),
        MetricSpec(
            "log-log slope of singular values",
            partial(_whole, log_slope),
            "least-squares slope of log σₖ over log k (method paper, section IV.1)",
        ),
        MetricSpec(
            "effective rank of the leading singular values",
            partial(_whole, effective_rank),
            "exp(−Σ p log p), p = σ² / Σσ² (Roy and Vetterli 2007, of squares)",
        ),
        MetricSpec(
            "first singular value over the root of interactions", _first, "σ₁ / √interactions", has_distance=False
        ),
        MetricSpec(
            "first 16 singular values against the prediction",
            partial(_off_prediction, 16),
            _PREDICTED,
            threshold=0.03,
            reason="`aligned` and `none`: theory with its noise terms; on the sample 0.3 %",
        ),
        MetricSpec(
            "singular values against the prediction",
            partial(_off_prediction, None),
            _PREDICTED,
            threshold=0.08,
            reason="`aligned` and `none`: theory with its noise terms; on the sample 2.1 %",
        ),
    ),
    figures=(
        FigureSpec(
            name="singular_values",
            title="Singular values",
            caption="Each over the first; both axes logarithmic. The analytic Kronecker product is what the paper "
            "shows; the synthetic line is measured on what was written. In uniform random data all but the first are "
            "small and alike.",
            data=_values,
            draw="singular_values",
            describe=last_ratios,
        ),
        # How far each synthetic value may be off, over itself.
        FigureSpec(name="singular_value_bounds", title="Bounds of singular values", data=_bounds),
    ),
)
