"""Expand real user/item interactions into a realistic data set of industrial size."""
