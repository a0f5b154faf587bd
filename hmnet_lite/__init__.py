"""hmnet_lite: few-shot segmentation with hybrid Mamba, made to be read.

    from hmnet_lite import selective_scan, MambaMixer, HMNet, HMNetConfig

    model = hmnet_lite.load("hmnet-lite-fold0")  # a network that comes with the package
    mask = hmnet_lite.segment(model, "desk.jpg", "cup.jpg", "cup_mask.png")

Importing this package needs torch, numpy and einops only; plotting, data and training modules
import what they need when they are used. Start reading in `scan/selective.py`, which defines every
word.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.models.lite import HMNet, HMNetConfig
from hmnet_lite.scan.backends import choose_backend
from hmnet_lite.scan.selective import selective_scan

if TYPE_CHECKING:
    from hmnet_lite.scoring.segment import segment
    from hmnet_lite.training.zoo import load

#: name to the module it is imported from when first used: these need Pillow and safetensors
_LATER = {"load": "hmnet_lite.training.zoo", "segment": "hmnet_lite.scoring.segment"}

__all__ = [
    "HMNet", "HMNetConfig", "MambaMixer", "choose_backend", "load", "segment", "selective_scan",
]  # fmt: skip
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
