"""Graph: users and items as a bipartite graph."""

from typing import Any

from fractalrs.statistics import assortativity, degree_product, density, thinned_assortativity
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import NEEDS_SOURCE, Family, MetricSpec, Values, apart


def _density(measured: Measured) -> Values:
    real = measured.real
    of_real = density(real.interactions, len(real.user_degrees), len(real.item_degrees))
    synthetic = density(measured.interactions, *measured.matrix.shape)
    thinned = None if of_real is None else of_real * measured.flat_rate
    note = "" if measured.keep is None else "of real, times the mean keep rate"
    return Values(of_real, None, synthetic, synthetic, thinned=thinned, note=note)


def _assortativity(measured: Measured) -> Values:
    degrees, real = measured.degrees, measured.real.assortativity
    product = degree_product(degrees.item_train, degrees.item_user_degree)
    synthetic = assortativity(degrees.user_train, degrees.item_train, product)
    known = measured.real
    thinned = None
    if real is not None:
        sides = known.user_degrees, known.item_degrees
        thinned = thinned_assortativity(real, *sides, measured.multipliers, measured.flat_rate)
    return Values(real, None, synthetic, 0.0, apart(real, synthetic), thinned=thinned, floor=apart(real, thinned))


def _clustering(measured: Measured) -> Values:
    known, source = measured.real, measured.thinned_source
    real_density = density(known.interactions, len(known.user_degrees), len(known.item_degrees))
    densities = {"real": real_density, "synthetic": measured.density}
    if source is not None:
        densities["thinned"] = density(source.interactions, len(known.user_degrees), len(known.item_degrees))
    over: dict[str, Any] = {}
    for label, each in densities.items():
        found = getattr(measured.nearest, label)
        over[label] = None if found is None or found.closed is None or not each else found.closed / each
    away = {label: _relative(over["real"], over.get(label)) for label in ("synthetic", "thinned")}
    note = NEEDS_SOURCE if measured.source is None else ""
    return Values(**over, null=1.0, distance=away["synthetic"], floor=away["thinned"], note=note)


def _relative(real: float | None, other: float | None) -> float | None:
    return abs(other / real - 1) if real and other is not None else None


FAMILY = Family(
    section="graph",
    title="Graph",
    explanation="Users and items as a bipartite graph.",
    metrics=(
        MetricSpec("density", _density, "interactions / (users · items)", has_distance=False),
        MetricSpec(
            "degree assortativity",
            _assortativity,
            "Pearson correlation over interactions of the degrees of their user and their item (Newman 2002)",
            threshold=0.03,
            from_floor=True,
            reason="thinning alone lowers it by a factor that is exactly known, and two thinnings differ by 0.003; "
            "independent blocks lose nearly all of it",
        ),
        MetricSpec(
            "clustering over density",
            _clustering,
            "share of closed paths of three interactions, four butterflies over paths (Robins and Alexander 2004), of "
            "sampled items, over the density; distance |synthetic / real − 1|",
            threshold=0.25,
            from_floor=True,
            reason="thinning lowers clustering exactly as it does the density, so that nothing of this is lost by it; "
            "two thinnings differ by a few per cent, uniform random data have 1",
            note="how much likelier than any pair the fourth side of a path is; distance: relative",
        ),
    ),
)
