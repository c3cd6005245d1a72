"""Run the command line with ``python -m fractalrs``."""

from fractalrs.cli import main

main()
