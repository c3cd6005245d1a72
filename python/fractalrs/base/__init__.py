"""The base: the signed matrix of users and items, and all that is known of it before anything is generated."""

from fractalrs.base.base import TEST_BIT, VALID_BIT, Base
from fractalrs.base.canonical_order import SINGULAR_VALUES, Canonical, canonical, leading_svd
from fractalrs.base.hold_out import leave_last_out, needed
from fractalrs.base.privacy import Privacy, Query
from fractalrs.base.rules import SplitRule
from fractalrs.base.sparse import Rows, Sparse, csr_arrays
from fractalrs.base.storage import BASE_FILES, changed_files
from fractalrs.base.summary import (
    base_statistics,
    real_activity,
    real_ratings,
    spectrum_statistics,
)
from fractalrs.base.svd import SVD, TOLERANCE, orthonormal, truncated_svd
from fractalrs.base.users_out import hold_users_out

__all__ = [
    "BASE_FILES",
    "SINGULAR_VALUES",
    "SVD",
    "TEST_BIT",
    "TOLERANCE",
    "VALID_BIT",
    "Base",
    "Canonical",
    "Privacy",
    "Query",
    "Rows",
    "Sparse",
    "SplitRule",
    "base_statistics",
    "canonical",
    "changed_files",
    "csr_arrays",
    "hold_users_out",
    "leading_svd",
    "leave_last_out",
    "needed",
    "orthonormal",
    "real_activity",
    "real_ratings",
    "spectrum_statistics",
    "truncated_svd",
]
