"""Streams over an expansion or a data set."""
