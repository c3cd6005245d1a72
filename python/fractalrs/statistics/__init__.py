"""Statistics: pure functions of arrays, which know nothing of files, bases or expansions."""

from fractalrs.statistics.arrays import Curve, Floats, Integers
from fractalrs.statistics.degrees import (
    active_gini,
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
from fractalrs.statistics.factorisation import captured_norm, recall_by_rank
from fractalrs.statistics.graph import assortativity, closed_paths, degree_product, density
from fractalrs.statistics.lookups import (
    CACHES,
    MOST_LOOKUPS,
    REUSE_EDGES,
    LookupCounts,
    Lookups,
    distinct_per_batch,
    hit_curve,
    hit_rate,
    random_hit_curve,
    reuse_shares,
    word_below,
)
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
from fractalrs.statistics.thinning import (
    FEW_OF_NOISE,
    thinned_assortativity,
    thinned_degrees,
    thinned_singular_values,
    thinned_variation,
)
from fractalrs.statistics.times import (
    POINTS,
    Activity,
    ActivityTally,
    Clock,
    InterEventTimes,
    by_time,
    compare_inter_event_times,
    decoded,
    memory,
    total_variation,
)

__all__ = [
    "CACHES",
    "FEW_OF_NOISE",
    "MOST_LOOKUPS",
    "POINTS",
    "REUSE_EDGES",
    "Activity",
    "ActivityTally",
    "Clock",
    "Curve",
    "Floats",
    "Integers",
    "InterEventTimes",
    "LookupCounts",
    "Lookups",
    "Ratings",
]
__all__ += ["Ratings", "RatingsTally", "active_gini", "assortativity", "by_time", "captured_norm", "closed_paths"]
__all__ += ["compare_inter_event_times", "coverage", "decoded", "degree_product", "density", "distinct_or_quantiles"]
__all__ += ["effective_rank", "end_decay", "gini", "hill", "kolmogorov_smirnov", "kronecker", "log_slope", "memory"]
__all__ += ["network_curve", "network_distance", "network_values", "null_degrees", "null_pairs", "null_singular_values"]
__all__ += ["predicted", "rank_slope", "ranked", "ratio_error", "ratios", "recall_by_rank", "thinned_assortativity"]
__all__ += ["thinned_degrees", "thinned_singular_values", "thinned_variation", "thinning_excess", "top_share"]
__all__ += ["distinct_per_batch", "hit_curve", "hit_rate", "random_hit_curve", "reuse_shares", "total_variation"]
__all__ += ["wasserstein", "word_below"]
