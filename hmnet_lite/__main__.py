"""python -m hmnet_lite: the same as hmnet, see `hmnet_lite.commands.main`."""

import sys

from hmnet_lite.commands.main import main

if __name__ == "__main__":  # feature workers import this module again
    sys.exit(main())
