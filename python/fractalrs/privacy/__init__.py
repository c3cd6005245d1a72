"""Privacy: a base under differential privacy, what it will be worth, and the account of it."""

from fractalrs.privacy.forecasting import Forecast, check_forecast, forecast
from fractalrs.privacy.release import DELTA, check_budget, private_base
from fractalrs.privacy.rows import Rows

__all__ = ["DELTA", "Forecast", "Rows", "check_budget", "check_forecast", "forecast", "private_base"]
