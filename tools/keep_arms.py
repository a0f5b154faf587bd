"""Keep the reports of networks that were trained for notebook 11's comparison; draw it anew.

hmnet train-referring --fusion norm --seed 1 … --out trained/arm-norm-seed1.safetensors
hmnet evaluate trained/arm-norm-seed1.safetensors --out trained/arm-norm-seed1.json
python tools/keep_arms.py trained/arm-*.json          # any number of arms and seeds
"""

import sys
from pathlib import Path

from hmnet_lite.workbook.make import main
from hmnet_lite.workbook.measured_words import keep

if __name__ == "__main__":
    for name in map(Path, sys.argv[1:]):
        print(keep(name))
    sys.exit(main(["words_arms"]))
