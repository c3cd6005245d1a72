"""PyTorch takes gigabytes: its tests are collected where it is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") is not None else ["test_torch.py"]
