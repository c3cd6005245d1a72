"""Worlds of known truth: true preferences, a logging policy with exact propensities, and what it logs."""

from fractalrs.worlds.ids import spread
from fractalrs.worlds.log import Observations
from fractalrs.worlds.policies import EpsilonGreedy
from fractalrs.worlds.simulating import simulate
from fractalrs.worlds.truth import TrueStream, Truth
from fractalrs.worlds.world import World

__all__ = ["EpsilonGreedy", "Observations", "TrueStream", "Truth", "World", "simulate", "spread"]
