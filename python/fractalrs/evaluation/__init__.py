"""Evaluation: what uses of data sets say of an expansion: rankings of recommenders, and the backcast.

Each room imports only rooms above it::

    halves                       train and test as matrices in memory
    models · baselines           recommenders; the rivals of an expansion
    rankings                     HR, NDCG, recall and MRR of what was held out
    traits                       what is measured, and how far it is from the truth
    report                       the report of a backcast
    run                          sub-sample, expand, compare
"""

from fractalrs.evaluation.baselines import BASELINES, block, configuration, duplication, uniform
from fractalrs.evaluation.halves import Halves
from fractalrs.evaluation.models import EASE, MODELS, ItemKNN, Popularity, Recommender, Scores, TruncatedSVD
from fractalrs.evaluation.rankings import Rankings, rank
from fractalrs.evaluation.report import BackcastReport, Row, Score
from fractalrs.evaluation.run import backcast
from fractalrs.evaluation.traits import Traits, measures_of, traits_of

__all__ = ["BASELINES", "EASE", "MODELS", "BackcastReport", "Halves", "ItemKNN", "Popularity", "Rankings"]
__all__ += ["Recommender", "Row", "Score", "Scores", "TruncatedSVD", "backcast", "block", "configuration"]
__all__ += ["Traits", "duplication", "measures_of", "rank", "traits_of", "uniform"]
