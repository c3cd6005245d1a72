"""The expansion: what determines every interaction of an expanded data set, before any is generated.

Each room imports only rooms above it::

    declared · profiles · cells       how an option is declared; named defaults; groups of alike users and items
    reduction · shuffles · functions  the reduced matrix; who changes places; blocks made by a function
    expected_groups · expected        what will come out
    operators · options               what makes a block; what can be chosen
    payload · sizing                  what interactions carry; a shape for a target
    expansion                         all of it as one value
"""

from fractalrs.expansion.cells import CELL_SIZE, Cells, group_cells
from fractalrs.expansion.declared import Option, accepts, declared_by, document, option, refuse_unknown
from fractalrs.expansion.expansion import Expansion
from fractalrs.expansion.functions import BlockFunction, Matrix
from fractalrs.expansion.operators import OPERATORS, Operator, operator_named
from fractalrs.expansion.options import FILES, GROUPS, MATRIX, OPTIONS, READING, RUNNING, SIZE, SPLIT, Options
from fractalrs.expansion.profiles import DEFAULT_PROFILE, PROFILES, Profile, profile_named
from fractalrs.expansion.reduction import ReducedMatrix, reduce
from fractalrs.expansion.shuffles import SHUFFLES, Shuffle, shuffle_named
from fractalrs.expansion.sizing import reduce_to_target, solve_keep_scale, whole_number

__all__ = [
    "CELL_SIZE",
    "DEFAULT_PROFILE",
    "FILES",
    "GROUPS",
    "MATRIX",
    "OPERATORS",
    "OPTIONS",
    "PROFILES",
    "READING",
    "RUNNING",
    "SHUFFLES",
    "SIZE",
    "SPLIT",
    "BlockFunction",
    "Cells",
    "Expansion",
    "Matrix",
    "Operator",
    "Option",
    "Options",
    "Profile",
    "ReducedMatrix",
    "Shuffle",
    "accepts",
    "declared_by",
    "document",
    "group_cells",
    "operator_named",
    "option",
    "profile_named",
    "reduce",
    "reduce_to_target",
    "refuse_unknown",
    "shuffle_named",
    "solve_keep_scale",
    "whole_number",
]
