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
"""

from fractalrs.privacy.business import Fact
from fractalrs.privacy.controls import Control
from fractalrs.privacy.forecasting import Forecast, check_forecast, forecast
from fractalrs.privacy.rates import Advantage, Rate
from fractalrs.privacy.release import DELTA, check_budget, private_base
from fractalrs.privacy.report import AuditReport, Finding
from fractalrs.privacy.rows import Rows
from fractalrs.privacy.run import audit

__all__ = ["DELTA", "Advantage", "AuditReport", "Control", "Fact", "Finding", "Forecast", "Rate", "Rows", "audit"]
__all__ += ["check_budget", "check_forecast", "forecast", "private_base"]
