"""Feedback: policies that learn from what they showed themselves, round after round, where the truth is known."""

from fractalrs.rounds.loop import examination_of, feedback
from fractalrs.rounds.past import Past
from fractalrs.rounds.policies import NAMES as POLICIES
from fractalrs.rounds.report import FeedbackReport, side_by_side
from fractalrs.rounds.result import Feedback

__all__ = ["POLICIES", "Feedback", "FeedbackReport", "Past", "examination_of", "feedback", "side_by_side"]
