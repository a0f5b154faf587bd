"""python -m hmnet_lite: see `hmnet_lite.cli`."""

import sys

from hmnet_lite.cli import main

if __name__ == "__main__":  # feature workers import this module again
    sys.exit(main())
