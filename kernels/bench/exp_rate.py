"""The scan's exponential alone, to measure how fast this machine can possibly go."""

import numpy as np
from numba import njit

from hmnet_kernels.cpu.lanes import LANES, exp2_of_product, load, splat, store


@njit(nogil=True)
def fill(values, out, repeats):
    """out = 2^(values·k), again and again: both fit in the first-level cache."""
    for repeat in range(repeats):
        scale = splat(np.float32(1.0) + np.float32(repeat) * np.float32(1e-6))
        for i in range(0, values.size, LANES):
            store(out, i, exp2_of_product(load(values, i), scale))
