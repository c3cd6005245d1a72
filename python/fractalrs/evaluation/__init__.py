"""Evaluation: what uses of data sets say of an expansion: rankings of recommenders, and the backcast.

Each room imports only rooms above it::

    halves                       train and test as matrices in memory
    baselines                    the rivals of an expansion
    rankings                     HR, NDCG, recall and MRR of what was held out
    traits                       what is measured, and how far it is from the truth
    report                       the report of a backcast
    run                          sub-sample, expand, compare
"""

from fractalrs.evaluation.baselines import BASELINES, block, configuration, duplication, uniform
from fractalrs.evaluation.halves import Halves
from fractalrs.evaluation.rankings import Rankings, rank
from fractalrs.evaluation.report import BackcastReport, Row, Score
from fractalrs.evaluation.run import backcast
from fractalrs.evaluation.traits import Traits, measures_of, traits_of

__all__ = ["BASELINES", "BackcastReport", "Halves", "Rankings", "Row", "Score", "backcast", "block", "configuration"]
__all__ += ["Traits", "duplication", "measures_of", "rank", "traits_of", "uniform"]
