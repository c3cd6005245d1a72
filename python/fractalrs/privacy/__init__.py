"""Privacy: what an output tells of the people it was made of, measured; and bases that are private by construction.

Each room imports only rooms above it::

    rates                        how often members and controls are claimed, with intervals
    attacks                      whose is this row, was this person there, what else did they do
    controls · business          what must come out; what an output tells of the business
    report                       the report of an audit
    run                          attack, count, judge
"""

from fractalrs.privacy.business import Fact
from fractalrs.privacy.controls import Control
from fractalrs.privacy.rates import Advantage, Rate
from fractalrs.privacy.report import AuditReport, Finding
from fractalrs.privacy.run import audit

__all__ = ["Advantage", "AuditReport", "Control", "Fact", "Finding", "Rate", "audit"]
