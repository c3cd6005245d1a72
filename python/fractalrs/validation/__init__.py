"""Validation: is what is on disk exactly what was planned, and does it keep the statistics of the real interactions?"""
