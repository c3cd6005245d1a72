"""Run the command line with ``python -m fractalrs``."""

from fractalrs.cli import main

if __name__ == "__main__":
    main()
