"""Copy trained networks into the package, in half the bytes.

python tools/ship.py trained/hmnet-lite-fold1.safetensors …
hmnet evaluate hmnet-lite-fold1 --keep        # then: what the copy scores, into its header

What a shipped network is said to score is what its rounded weights score.
"""

import sys
from pathlib import Path

from hmnet_lite.training.checkpoint import halve
from hmnet_lite.training.zoo import models_folder

if __name__ == "__main__":
    for name in map(Path, sys.argv[1:]):
        done = halve(name, models_folder() / name.name)
        print(f"{done}: {done.stat().st_size:,} bytes")
