"""The report of a validation."""

from fractalrs.validation.report.report import Report

__all__ = ["Report"]
