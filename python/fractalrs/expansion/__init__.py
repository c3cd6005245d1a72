"""The expansion: what determines every interaction of an expanded data set, before any is generated.

Each room imports only rooms above it::

    declared · cells             how an option is declared; groups of alike users and items
    reduction · shuffles         the reduced matrix; who changes places
    spectrum · tails             what singular values and degrees will be
    expected_groups · expected   what will come out
    functions · operators        blocks made by a function; what makes a block
    options                      what can be chosen, and named defaults
    payload · sizing · fitting   what interactions carry; a shape for a target; real tails and spectrum
    fitted · saved               what an expansion takes from a fit; its folder
    division · fingerprint       where users are cut into parts; one digest of all of it
    stream                       interactions as Arrow batches, made while they are read
    expansion                    all of it as one value
"""

from fractalrs.expansion.cells import ITEM_CELL_SIZE, USER_CELL_SIZE, Cells, group_cells
from fractalrs.expansion.declared import Option, accepts, declared_by, document, option, refuse_unknown
from fractalrs.expansion.expansion import Expansion
from fractalrs.expansion.fingerprint import fingerprint_of
from fractalrs.expansion.fitting import Fit, fit, fitted_cells
from fractalrs.expansion.functions import BlockFunction, Matrix
from fractalrs.expansion.operators import Operator, operator_named
from fractalrs.expansion.options import DEFAULT_PROFILE, OPTIONS, PROFILES, Group, Options, Profile, profile_named
from fractalrs.expansion.reduction import ReducedMatrix, reduce
from fractalrs.expansion.saved import SAVED
from fractalrs.expansion.shuffles import SHUFFLES, Shuffle, shuffle_named
from fractalrs.expansion.sizing import reduce_to_target, solve_keep_scale, whole_bytes, whole_number
from fractalrs.expansion.stream import BATCH_SIZE, Stream, chosen_schema

__all__ = [
    "BATCH_SIZE",
    "DEFAULT_PROFILE",
    "ITEM_CELL_SIZE",
    "OPTIONS",
    "PROFILES",
    "SHUFFLES",
    "USER_CELL_SIZE",
    "Stream",
    "chosen_schema",
]
__all__ += ["BlockFunction", "Cells", "Expansion", "Fit", "Group", "Matrix", "Operator", "Option", "Options", "Profile"]
__all__ += [
    "ReducedMatrix",
    "Shuffle",
    "accepts",
    "declared_by",
    "document",
    "fit",
    "fitted_cells",
    "group_cells",
    "operator_named",
    "option",
]
__all__ += ["profile_named", "reduce", "reduce_to_target", "refuse_unknown", "shuffle_named", "solve_keep_scale"]
__all__ += ["SAVED", "fingerprint_of", "whole_bytes", "whole_number"]
