"""Privacy: what an output tells of the people it was made of, measured; and bases that are private by construction.

Each room imports only rooms above it::

    mechanisms                   noise and its account
    rows · taste_model           what is asked of the data; what is drawn from the answers
    forecasting · release        what a private base will be worth; the base
    rates                        how often members and controls are claimed, with intervals
    attacks                      whose is this row, was this person there, what else did they do
    controls · business          what must come out; what an output tells of the business
    report                       the report of an audit
    run                          attack, count, judge
    curve                        what is kept at each ε, and what is found
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fractalrs.privacy.forecasting import Forecast, check_forecast, forecast
from fractalrs.privacy.release import DELTA, check_budget, private_base
from fractalrs.privacy.rows import Rows

if TYPE_CHECKING:
    from fractalrs.privacy.business import Fact as Fact
    from fractalrs.privacy.controls import Control as Control
    from fractalrs.privacy.curve import Kept as Kept
    from fractalrs.privacy.curve import PrivacyCurve as PrivacyCurve
    from fractalrs.privacy.curve import privacy_curve as privacy_curve
    from fractalrs.privacy.rates import Advantage as Advantage
    from fractalrs.privacy.rates import Rate as Rate
    from fractalrs.privacy.report import AuditReport as AuditReport
    from fractalrs.privacy.report import Finding as Finding
    from fractalrs.privacy.run import MOST_ADVANTAGE as MOST_ADVANTAGE
    from fractalrs.privacy.run import audit as audit

_OF_AUDITS = {
    "business": ("Fact",),
    "controls": ("Control",),
    "curve": ("Kept", "PrivacyCurve", "privacy_curve"),
    "rates": ("Advantage", "Rate"),
    "report": ("AuditReport", "Finding"),
    "run": ("MOST_ADVANTAGE", "audit"),
}
"""What every command would have to load, and only audits need."""
_HOME_OF = {name: home for home, names in _OF_AUDITS.items() for name in names}

__all__ = ["DELTA", "MOST_ADVANTAGE", "Advantage", "AuditReport", "Control", "Fact", "Finding", "Forecast", "Kept"]
__all__ += ["PrivacyCurve", "Rate", "Rows", "audit", "check_budget", "check_forecast", "forecast", "privacy_curve"]
__all__ += ["private_base"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
