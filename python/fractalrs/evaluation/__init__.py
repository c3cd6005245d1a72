"""Evaluation: what uses of data sets say of an expansion: rankings of recommenders, and the backcast.

Each room imports only rooms above it::

    halves                       train and test as matrices in memory
    baselines                    the rivals of an expansion
    rankings                     HR, NDCG, recall and MRR of what was held out
    traits                       what is measured, and how far it is from the truth
    report · run                 the backcast: sub-sample, expand, compare
    samples · tuning             some users and column blocks of an expansion; the best setting of a family
    agreement                    of two rankings of models: τ, decisive pairs, intervals
    rank_report · rank_run       models ranked on real data and on an expansion
"""

from fractalrs.evaluation.agreement import Agreement, Draws, Figure, agreement, tau_b, verdict
from fractalrs.evaluation.baselines import BASELINES, block, configuration, duplication, rewired, uniform
from fractalrs.evaluation.halves import Halves
from fractalrs.evaluation.rank_report import Column, RankReport
from fractalrs.evaluation.rank_run import Judge, check_ranking, rank_agreement
from fractalrs.evaluation.rankings import Places, Rankings, by_user, places, rank
from fractalrs.evaluation.report import BackcastReport, Row, Score
from fractalrs.evaluation.run import backcast, sub_sample
from fractalrs.evaluation.samples import Sample, reseeded
from fractalrs.evaluation.traits import Traits, measures_of, traits_of
from fractalrs.evaluation.tuning import tune, validation_of

__all__ = ["BASELINES", "BackcastReport", "Halves", "Rankings", "Row", "Score", "backcast", "block", "configuration"]
__all__ += ["Agreement", "Column", "Draws", "Figure", "Judge", "Places", "RankReport", "Sample", "agreement", "by_user"]
__all__ += ["check_ranking", "places", "rank_agreement", "reseeded", "rewired", "tau_b", "tune", "validation_of"]
__all__ += ["Traits", "duplication", "measures_of", "rank", "sub_sample", "traits_of", "uniform", "verdict"]
