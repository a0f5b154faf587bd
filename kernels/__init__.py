"""Compiled selective scans, usable on their own: no knowledge of `hmnet_lite`.

`selective_scan_cpu` and, for images, `map_scan_cpu` need numba (imported at the first call,
compiled once and cached);
`hmnet_kernels.scan_triton.selective_scan_triton` is the same for GPUs and needs triton;
`python -m hmnet_kernels.bench` times them beside other people's.
"""

from .scan_cpu import selective_scan_cpu
from .scan_map import map_scan_cpu

__all__ = ["map_scan_cpu", "selective_scan_cpu"]
