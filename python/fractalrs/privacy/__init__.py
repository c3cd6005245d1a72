"""Privacy: a base under differential privacy, what it will be worth, and the account of it."""

from fractalrs.privacy.forecasting import Forecast, forecast
from fractalrs.privacy.release import DELTA, Rows, check_budget, check_forecast, private_base

__all__ = ["DELTA", "Forecast", "Rows", "check_budget", "check_forecast", "forecast", "private_base"]
