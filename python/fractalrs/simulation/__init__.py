"""Worlds of known truth: true preferences, a logging policy with exact propensities, and what it logs."""

from fractalrs.simulation.drawing import Draw, Sequences, Worlds, worlds
from fractalrs.simulation.ids import spread
from fractalrs.simulation.log import Observations
from fractalrs.simulation.policies import EpsilonGreedy
from fractalrs.simulation.saved import is_saved_world, rounds_logged
from fractalrs.simulation.simulating import simulate
from fractalrs.simulation.true_stream import TrueStream
from fractalrs.simulation.truth import Truth
from fractalrs.simulation.world import World

__all__ = ["Draw", "EpsilonGreedy", "Observations", "Sequences", "TrueStream", "Truth", "World", "Worlds"]
__all__ += ["is_saved_world", "rounds_logged", "simulate", "spread", "worlds"]
