"""Expand real user/item interactions into a realistic data set of industrial size.

The data flows one way, each step a value that can be used alone, saved and loaded::

    read_interactions → leave_last_out → reduce → Expansion → write → open_dataset → validate

`expand` does all of it in one call. The method is that of *Scalable Realistic Recommendation Datasets through Fractal
Expansions*. What is named here is loaded when it is first used; nothing inside the package imports it from here.
"""

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from fractalrs._core import DEBUG_BUILD, VERSION

if TYPE_CHECKING:
    from fractalrs import models as models
    from fractalrs import plot as plot
    from fractalrs.base import Base as Base
    from fractalrs.base import hold_users_out as hold_users_out
    from fractalrs.base import leave_last_out as leave_last_out
    from fractalrs.dataset import Dataset as Dataset
    from fractalrs.dataset import ParquetOptions as ParquetOptions
    from fractalrs.dataset import Plan as Plan
    from fractalrs.dataset import Verification as Verification
    from fractalrs.dataset import finish as finish
    from fractalrs.dataset import open_dataset as open_dataset
    from fractalrs.dataset import plan as plan
    from fractalrs.dataset import write as write
    from fractalrs.dataset import write_part as write_part
    from fractalrs.errors import FractalrsError as FractalrsError
    from fractalrs.errors import InputError as InputError
    from fractalrs.errors import OutputError as OutputError
    from fractalrs.errors import WriteError as WriteError
    from fractalrs.evaluation import BackcastReport as BackcastReport
    from fractalrs.evaluation import RankReport as RankReport
    from fractalrs.evaluation import backcast as backcast
    from fractalrs.evaluation import rank_agreement as rank_agreement
    from fractalrs.expansion import Cells as Cells
    from fractalrs.expansion import Expansion as Expansion
    from fractalrs.expansion import Fit as Fit
    from fractalrs.expansion import ReducedMatrix as ReducedMatrix
    from fractalrs.expansion import Stream as Stream
    from fractalrs.expansion import fit as fit
    from fractalrs.expansion import group_cells as group_cells
    from fractalrs.expansion import reduce as reduce
    from fractalrs.formats import export as export
    from fractalrs.formats import load_csr as load_csr
    from fractalrs.loading import Mixture as Mixture
    from fractalrs.loading import mix as mix
    from fractalrs.passes import AccessProfile as AccessProfile
    from fractalrs.passes import StreamedMatrix as StreamedMatrix
    from fractalrs.passes import access_profile as access_profile
    from fractalrs.privacy import AuditReport as AuditReport
    from fractalrs.privacy import PrivacyCurve as PrivacyCurve
    from fractalrs.privacy import audit as audit
    from fractalrs.privacy import privacy_curve as privacy_curve
    from fractalrs.privacy import private_base as private_base
    from fractalrs.reading import Interactions as Interactions
    from fractalrs.reading import download as download
    from fractalrs.reading import read_interactions as read_interactions
    from fractalrs.reading import sample_interactions as sample_interactions
    from fractalrs.reading import write_interactions as write_interactions
    from fractalrs.rounds import Feedback as Feedback
    from fractalrs.rounds import FeedbackReport as FeedbackReport
    from fractalrs.rounds import Past as Past
    from fractalrs.rounds import feedback as feedback
    from fractalrs.simulation import Draw as Draw
    from fractalrs.simulation import EpsilonGreedy as EpsilonGreedy
    from fractalrs.simulation import Observations as Observations
    from fractalrs.simulation import Sequences as Sequences
    from fractalrs.simulation import TrueStream as TrueStream
    from fractalrs.simulation import Truth as Truth
    from fractalrs.simulation import World as World
    from fractalrs.simulation import Worlds as Worlds
    from fractalrs.simulation import simulate as simulate
    from fractalrs.simulation import worlds as worlds
    from fractalrs.tools import ObjectStore as ObjectStore
    from fractalrs.tools import Progress as Progress
    from fractalrs.validation import Report as Report
    from fractalrs.validation import validate as validate
    from fractalrs.workflow import expand as expand
    from fractalrs.workflow import publish as publish
    from fractalrs.workflow import verify as verify

__version__ = VERSION

_HOMES = {
    "fractalrs": ("models", "plot"),
    "fractalrs.errors": ("FractalrsError", "InputError", "OutputError", "WriteError"),
    "fractalrs.tools": ("ObjectStore", "Progress"),
    "fractalrs.reading": ("Interactions", "download", "read_interactions", "sample_interactions", "write_interactions"),
    "fractalrs.base": ("Base", "hold_users_out", "leave_last_out"),
    "fractalrs.expansion": ("Cells", "Expansion", "Fit", "ReducedMatrix", "Stream", "fit", "group_cells", "reduce"),
    "fractalrs.dataset": (
        *("Dataset", "ParquetOptions", "Plan", "Verification"),
        *("finish", "open_dataset", "plan", "write", "write_part"),
    ),
    "fractalrs.passes": ("AccessProfile", "StreamedMatrix", "access_profile"),
    "fractalrs.formats": ("export", "load_csr"),
    "fractalrs.validation": ("Report", "validate"),
    "fractalrs.evaluation": ("BackcastReport", "RankReport", "backcast", "rank_agreement"),
    "fractalrs.privacy": ("AuditReport", "PrivacyCurve", "audit", "privacy_curve", "private_base"),
    "fractalrs.loading": ("Mixture", "mix"),
    "fractalrs.simulation": (
        *("Draw", "EpsilonGreedy", "Observations", "Sequences", "TrueStream", "Truth", "World", "Worlds"),
        *("simulate", "worlds"),
    ),
    "fractalrs.rounds": ("Feedback", "FeedbackReport", "Past", "feedback"),
    "fractalrs.workflow": ("expand", "publish", "verify"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# A star brings nothing that has to be installed first, and no modules.
__all__ = sorted(_HOME_OF.keys() - {*_HOMES["fractalrs"]})


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        # With these Python adds the name that was meant.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    if home == __name__:
        return importlib.import_module(f"{home}.{name}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, *_HOMES["fractalrs"], "__version__"]


if DEBUG_BUILD:
    warnings.warn(
        "fractalrs._core is a debug build, many times slower than a release build: install with `pip install .` "
        "or `maturin develop --release`",
        RuntimeWarning,
        stacklevel=2,
    )
