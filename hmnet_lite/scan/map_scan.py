"""The door to scans that read a map where it lies, for the backends that have one.

What such a scan computes is defined by the readable way: `maps.to_sequences`, `selective_scan`,
`maps.from_sequences`, which serves every other backend.
"""

from __future__ import annotations

from torch import Tensor

from hmnet_lite.scan.backends import resolve


def reads_maps(x: Tensor, backend: str = "auto") -> bool:
    """Whether the backend asked for (with "auto": the one it takes) can read such a map in place.

    Args:
        x: its device and dtype decide.
        backend: as in `selective_scan`.
    """
    return resolve(backend, x) == "cpu"


def map_scan(u, low_rank, delta_weight, A, B, C, D=None, **options) -> tuple[Tensor, Tensor]:
    """Scan a channels-last map in every direction; see `hmnet_kernels.map_scan_cpu`."""
    from hmnet_kernels import map_scan_cpu

    return map_scan_cpu(u, low_rank, delta_weight, A, B, C, D, **options)
