"""Engines that run many workers: each of them makes ranges of users, or parts of a data set, from a saved expansion.

``fractalrs.engines.spark`` is for Spark, ``fractalrs.engines.ray`` for Ray; each needs its library.
"""
