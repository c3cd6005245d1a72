"""Statistics: pure functions of arrays, which know nothing of files, bases or expansions."""

from fractalrs.statistics.arrays import Curve, Floats
from fractalrs.statistics.degrees import (
    coverage,
    end_decay,
    gini,
    hill,
    kolmogorov_smirnov,
    rank_slope,
    ranked,
    top_share,
    wasserstein,
)
from fractalrs.statistics.graph import assortativity, degree_product, density
from fractalrs.statistics.null import null_degrees, null_pairs, null_singular_values
from fractalrs.statistics.ratings import Ratings, RatingsTally, distinct_or_quantiles, thinning_excess
from fractalrs.statistics.spectra import (
    effective_rank,
    kronecker,
    log_slope,
    network_curve,
    network_distance,
    network_values,
    predicted,
    ratio_error,
    ratios,
)
from fractalrs.statistics.times import (
    POINTS,
    Activity,
    ActivityTally,
    Clock,
    InterEventTimes,
    by_time,
    compare_inter_event_times,
    memory,
    total_variation,
)

__all__ = ["POINTS", "Activity", "ActivityTally", "Clock", "Curve", "Floats", "InterEventTimes", "Ratings"]
__all__ += ["RatingsTally", "assortativity", "by_time", "compare_inter_event_times", "coverage", "degree_product"]
__all__ += ["density", "distinct_or_quantiles", "effective_rank", "end_decay", "gini", "hill", "kolmogorov_smirnov"]
__all__ += ["kronecker", "log_slope", "memory", "network_curve", "network_distance", "network_values", "null_degrees"]
__all__ += ["null_pairs", "null_singular_values", "predicted", "rank_slope", "ranked", "ratio_error", "ratios"]
__all__ += ["thinning_excess", "top_share", "total_variation", "wasserstein"]
