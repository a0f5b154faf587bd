"""The door to scans that read a map where it lies, for the backends that have one.

What such a scan computes is defined by the readable way: `maps.to_sequences`, `selective_scan`,
`maps.from_sequences`, which serves every other backend.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hmnet_lite.scan.backends import is_transformed, resolve, why_not


def reads_maps(x: Tensor, backend: str = "auto") -> bool:
    """Whether the backend asked for (with "auto": the one it takes) can read such a map in place.

    Args:
        x: its device and dtype decide.
        backend: as in `selective_scan`.
    """
    return _reader(x, backend) is not None


def _reader(x: Tensor, backend: str) -> str | None:
    """The backend that reads this map, or None. On a GPU "auto" takes Triton's, whatever it takes
    for sequences: nothing else there reads maps."""
    if (
        backend == "auto"
        and x.device.type == "cuda"
        and not (is_transformed(x) or why_not("triton", x))
    ):
        return "triton"
    backend = resolve(backend, x, transformed=is_transformed(x))
    return backend if backend in ("cpu", "triton") else None


def map_scan(
    u, low_rank, delta_weight, A, B, C, D=None, *,
    starts: tuple[tuple[int, ...], ...], backend: str = "auto", **options,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Scan a channels-last map in every direction; see `hmnet_kernels.map_scan_cpu`. `starts` are
    numbers here: they decide what is launched, so a compiler has to know them."""
    if _reader(u, backend) == "triton":
        from hmnet_kernels.gpu.map_scan import map_scan_triton as scan

        return scan(u, low_rank, delta_weight, A, B, C, D, starts=starts, **options)
    from hmnet_kernels import map_scan_cpu

    begins = torch.tensor(starts, device="cpu")
    return map_scan_cpu(u, low_rank, delta_weight, A, B, C, D, starts=begins, **options)


def intercepts_maps(x: Tensor, backend: str = "auto") -> bool:
    """Whether that backend has QIM in one kernel, too. Arguments as in `reads_maps`."""
    return _reader(x, backend) == "triton"


def map_intercept(u, low_rank, delta_weight, A, B, C, D, state, **options) -> Tensor:
    """QIM, pixel by pixel; see `hmnet_kernels.gpu.map_scan.map_intercept_triton`."""
    from hmnet_kernels.gpu.map_scan import map_intercept_triton

    return map_intercept_triton(u, low_rank, delta_weight, A, B, C, D, state, **options)
