"""Compiled selective scans, usable on their own: no knowledge of `hmnet_lite`.

`selective_scan_cpu` needs numba (imported at the first call, compiled once and cached);
`hmnet_kernels.scan_triton.selective_scan_triton` is the same for GPUs and needs triton;
`python -m hmnet_kernels.bench` times them beside other people's.
"""

from .scan_cpu import selective_scan_cpu

__all__ = ["selective_scan_cpu"]
