"""`python -m hmnet_kernels.bench`."""

import sys

from hmnet_kernels.bench.run import main

sys.exit(main())
