"""Compiled selective scans, usable on their own: no knowledge of `hmnet_lite`.

`selective_scan_cpu` and, for images, `map_scan_cpu` need numba (imported at the first call,
compiled once and cached);
`hmnet_kernels.gpu.scan.selective_scan_triton` and `hmnet_kernels.gpu.map_scan.map_scan_triton` are
the same for GPUs and need triton (README.md beside this file explains them);
`python -m hmnet_kernels.bench` times them beside other people's.
"""

from hmnet_kernels.cpu.map_scan import map_scan_cpu
from hmnet_kernels.cpu.scan import selective_scan_cpu

__all__ = ["map_scan_cpu", "selective_scan_cpu"]
