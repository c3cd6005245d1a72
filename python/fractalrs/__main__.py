"""Run the command line with ``python -m fractalrs``."""

import sys

if __name__ == "__main__":
    try:
        from fractalrs.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()
