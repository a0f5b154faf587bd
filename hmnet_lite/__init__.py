"""hmnet_lite: few-shot segmentation with hybrid Mamba, made to be read.

    from hmnet_lite import selective_scan, MambaMixer, HMNet, HMNetConfig

Importing this package needs torch, numpy and einops only; plotting, data and training modules
import what they need when they are used. Start reading in `scan.py`, which defines every word.
"""

from hmnet_lite.mamba.mixer import MambaMixer
from hmnet_lite.models.lite import HMNet, HMNetConfig
from hmnet_lite.scan.backends import choose_backend
from hmnet_lite.scan.selective import selective_scan

__all__ = ["HMNet", "HMNetConfig", "MambaMixer", "choose_backend", "selective_scan"]
__version__ = "0.1.0"
