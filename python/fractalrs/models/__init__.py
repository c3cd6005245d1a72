"""Recommenders, each a small value: fitted to train interactions, it scores all items for its users.

They are what papers compare with, and what data have to be hard for. Where nothing else is said nothing is random: the
same matrix gives the same scores. Each room imports only rooms above it::

    matrices                     what they share
    popularity · neighbours · walks · factorisation · linear
    implicit                     those of the library
    adapter                      models of others
    families                     all of them by name, with the settings they are tuned over
"""

from fractalrs.models.adapter import Listed, as_recommender
from fractalrs.models.factorisation import TruncatedSVD
from fractalrs.models.families import FAMILIES, MODELS, OF_IMPLICIT, Family, installed_families
from fractalrs.models.implicit import BM25, BPR, IALS, has_implicit
from fractalrs.models.linear import EASE
from fractalrs.models.matrices import CHUNK, Floats, Integers, Matrix, Recommender, Scores, chunk_rows
from fractalrs.models.neighbours import ItemKNN, UserKNN
from fractalrs.models.popularity import Popularity
from fractalrs.models.walks import RP3beta

__all__ = ["BM25", "BPR", "CHUNK", "EASE", "FAMILIES", "IALS", "MODELS", "OF_IMPLICIT", "Family", "Floats", "Integers"]
__all__ += ["ItemKNN", "Listed", "Matrix", "Popularity", "RP3beta", "Recommender", "Scores", "TruncatedSVD"]
__all__ += ["UserKNN", "as_recommender", "chunk_rows", "has_implicit", "installed_families"]
