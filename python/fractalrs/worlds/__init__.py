"""Worlds of known truth: true preferences, a logging policy with exact propensities, and what it logs."""

from fractalrs.worlds.policies import EpsilonGreedy
from fractalrs.worlds.simulate import simulate
from fractalrs.worlds.truth import Truth
from fractalrs.worlds.world import Observations, World

__all__ = ["EpsilonGreedy", "Observations", "Truth", "World", "simulate"]
