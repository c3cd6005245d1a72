"""Validation: is a data set exactly what was planned, and does it keep the statistics of the real interactions?"""

from fractalrs.validation.findings import Check, Findings, Metric
from fractalrs.validation.report.pages import inline_figure, write_page_like
from fractalrs.validation.report.report import Report
from fractalrs.validation.run import validate
from fractalrs.validation.thresholds import read as read_thresholds
from fractalrs.validation.wording import aligned, for_people, number, plain, words

__all__ = ["Check", "Findings", "Metric", "Report", "read_thresholds", "validate"]
__all__ += ["aligned", "for_people", "inline_figure", "number", "plain", "words", "write_page_like"]
