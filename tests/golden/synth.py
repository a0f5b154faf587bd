"""Deterministic synthetic weights for parity checks against the published HMNet code.

The golden outputs in this folder were produced by running the published model on
weights made by `synth_state_dict`; feeding the same weights (published parameter
names and shapes, listed in the *.names.json files) through any other
implementation must give the same outputs.

Only numpy's frozen legacy generator is used, so the numbers are the same on every
machine and numpy version.
"""

import json
import zlib
from pathlib import Path

import numpy as np


def synth_array(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """One float32 array, a pure function of (name, shape, seed)."""
    rng = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    z = rng.standard_normal(shape) if shape else rng.standard_normal()
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.asarray(0, dtype=np.int64)
    if leaf == "running_var":
        out = 1.0 + 0.1 * np.abs(z)
    elif leaf == "running_mean":
        out = 0.1 * z
    elif leaf == "A_logs":  # S4D-real initialisation, jittered
        out = np.log(np.arange(1, shape[-1] + 1))[None, :] + 0.1 * z
    elif leaf == "Ds":
        out = 1.0 + 0.1 * z
    elif leaf == "dt_projs_bias":  # softplus(-3.5) is about 0.03
        out = -3.5 + 0.7 * z
    elif len(shape) >= 2:  # weights: variance 1/fan_in (stacked projections: last axis)
        fan_in = int(np.prod(shape[1:])) if leaf == "weight" else shape[-1]
        out = z / np.sqrt(fan_in)
    elif leaf == "weight":  # norm scales
        out = 1.0 + 0.1 * z
    else:  # biases
        out = 0.05 * z
    return np.asarray(out, dtype=np.float32)


def synth_state_dict(names_json: str | Path, seed: int = 0) -> dict[str, np.ndarray]:
    """{published parameter name: array} for a {name: shape} JSON file."""
    shapes = json.loads(Path(names_json).read_text())
    return {n: synth_array(n, tuple(s), seed) for n, s in shapes.items()}


def synth_input(tag: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A float32 standard-normal input, a pure function of (tag, shape, seed)."""
    rng = np.random.RandomState((zlib.crc32(("input:" + tag).encode()) + seed) % 2**32)
    return rng.standard_normal(shape).astype(np.float32)
