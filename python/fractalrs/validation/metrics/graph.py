"""Graph: users and items as a bipartite graph."""

from fractalrs.statistics import assortativity, degree_product, density
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import Family, MetricSpec, Values, apart


def _density(measured: Measured) -> Values:
    real = measured.real
    of_real = density(real.interactions, len(real.user_degrees), len(real.item_degrees))
    synthetic = density(measured.interactions, *measured.matrix.shape)
    return Values(of_real, None, synthetic, synthetic, note="" if measured.keep is None else "real × mean keep rate")


def _assortativity(measured: Measured) -> Values:
    degrees, real = measured.degrees, measured.real.assortativity
    product = degree_product(degrees.item_train, degrees.item_user_degree)
    synthetic = assortativity(degrees.user_train, degrees.item_train, product)
    return Values(real, None, synthetic, 0.0, apart(real, synthetic))


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
        ),
    ),
)
