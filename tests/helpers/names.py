"""The stable names of metrics that several test modules look for."""

GINIS = ("gini of users", "gini of items")
WASSERSTEINS = ("Wasserstein distance of users", "Wasserstein distance of items")
COVERAGES = ("coverage of users", "coverage of items")
LARGEST_RATIO = "singular ratios 2 to 16, largest error"
RATIOS_64 = "singular ratios 2 to 64, median error"
CAPTURED = "norm captured at rank 8"
ASSORTATIVITY = "degree assortativity"
CLUSTERING = "clustering over density"
RATIOS = "singular ratios 2 to 16, median error"
PREDICTION = "first 16 singular values against the prediction"
PREDICTION_ALL = "singular values against the prediction"
COPIES = "copies among the ten nearest items"
STORED = "repetition as stored"
RELINKED = "repetition relinked"
INTER_EVENT_TIMES = "inter-event times"
TIES = "ties between a user's interactions"
HOURS = "hour of the day"
WEEKDAYS = "day of the week"
GROWTH = "catalogue growth"
MEMORY = "long-range dependence of activity"
EVENT_COPIES = "copies of one source event in a row"
RATINGS = "ratings"
MEAN_RATING = "mean rating"
OF_USERS = "share of the variance of ratings that is between users"

UNFITTED = {GINIS[0]: 0.05, ASSORTATIVITY: 0.12, CAPTURED: 0.4}
"""Thresholds for small expansions × (4, 8) that are not fitted: what the margins of R̂ do to the source's tails."""
