"""Copy trained networks into the package, in half the bytes.

python tools/ship.py trained/hmnet-lite-fold1.safetensors …
python tools/ship.py --most 2500000 trained/diffews-fold0.safetensors  # the largest in a byte
hmnet evaluate hmnet-lite-fold1 --keep        # then: what the copy scores, into its header

What a shipped network is said to score is what its rounded weights score.
"""

import sys
from pathlib import Path

from hmnet_lite.training.checkpoint import halve
from hmnet_lite.training.zoo import models_folder

if __name__ == "__main__":
    words = sys.argv[1:]
    most = int(words.pop(1)) if words[:1] == ["--most"] else None
    for name in map(Path, words[most is not None :]):
        done = halve(name, models_folder() / name.name, most)
        print(f"{done}: {done.stat().st_size:,} bytes")
