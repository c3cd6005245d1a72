"""Where Spark looks for the source named ``fractalrs``, so that nobody has to register it."""

from fractalrs.engines.spark import ExpansionSource as DefaultSource

__all__ = ["DefaultSource"]
