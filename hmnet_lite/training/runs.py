"""A run on disk: checkpoints of everything, the newest few and the best, none ever half-written.

folder/step-00000500.safetensors    weights, average, optimisers, random states, history
folder/best.safetensors             the same, of the step with the best score
"""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hmnet_lite.models.backbones import Frozen
from hmnet_lite.tensors import DamagedFile, checksum, read_header, read_tensors, write_tensors
from hmnet_lite.training.history import History
from hmnet_lite.training.optimisers import MovingAverage

KIND = "hmnet-lite training run"


class RunFolder:
    """The checkpoints of one run.

    Args:
        folder: where; made when the first checkpoint is written.
        keep: how many of the newest stay.
        identity: what must be equal for a run to go on (config, network, data); plain JSON values.
        defaults: part of the identity to its fields' defaults: a run that was begun before a field
            existed was trained as its default says.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        identity: dict[str, Any],
        defaults: dict[str, dict[str, Any]] | None = None,
    ):
        self.folder, self.keep = Path(folder), keep
        self.identity = json.loads(json.dumps(identity))
        self.defaults = json.loads(json.dumps(defaults or {}))

    def checkpoints(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any], best: bool) -> Path:
        """Write a checkpoint; only then remove those that are not kept.

        Raises:
            OSError: it could not be written; all earlier ones are untouched.
        """
        header = {"kind": KIND, "identity": json.dumps(self.identity), "facts": json.dumps(facts)}
        path = self.folder / f"step-{facts['step']:08d}.safetensors"
        if path.is_dir():  # nothing of ours: it would stay in the way
            shutil.rmtree(path)
        write_tensors(path, tensors, header)
        if best:
            write_tensors(self.folder / "best.safetensors", tensors, header)
        for old in self.checkpoints()[self.keep :]:
            with suppress(OSError):
                old.unlink()
        return path

    def load(self) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
        """The newest checkpoint that is whole: its path, tensors and facts; None: there is none.

        A damaged one is named in a warning, and the one before it serves.

        Raises:
            ValueError: it is of another config, network or data (the field is named), or none of
                the checkpoints is whole.
        """
        damaged = []
        for path in self.checkpoints():
            try:
                tensors, header = read_tensors(path)
                facts, identity = json.loads(header["facts"]), json.loads(header["identity"])
            except (DamagedFile, KeyError, ValueError) as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(
                    f"{damaged[0]}; going on from the checkpoint before it, {path}", stacklevel=3
                )
            self._check(path, identity)
            return path, tensors, facts
        if damaged:
            raise ValueError(
                f"none of the {len(damaged)} checkpoints in {self.folder} is whole: {damaged[0]}; "
                "remove the folder to start afresh"
            )
        return None

    def unfinished(self) -> tuple[Path, int] | None:
        """The newest checkpoint and its step, if that run did not come to its end."""
        for path in self.checkpoints():
            try:
                facts = json.loads(read_header(path)["facts"])
            except (DamagedFile, KeyError, ValueError):
                continue
            return None if facts.get("finished") else (path, facts["step"])
        return None

    def refuse_unfinished(self) -> None:
        """Raises ValueError where a run waits to go on: it is not to be lost by a slip."""
        if left := self.unfinished():
            raise ValueError(
                f"{self.folder} holds an unfinished run, at step {left[1]:,}; go on with resume "
                "(--resume), or remove that folder to start afresh"
            )

    def remove(self) -> None:
        """Remove every checkpoint of the run."""
        for path in (*self.checkpoints(), self.folder / "best.safetensors"):
            with suppress(OSError):
                path.unlink()

    def _check(self, path: Path, identity: dict[str, Any]) -> None:
        for part in sorted(self.identity.keys() | identity.keys()):
            now, then = self.identity.get(part), identity.get(part)
            if now == then:
                continue
            if isinstance(now, dict) and isinstance(then, dict):
                known = self.defaults.get(part, {})
                then = {n: value for n, value in known.items() if n in now} | then
                if now == then:
                    continue
                name = next(n for n in sorted(now.keys() | then) if now.get(n) != then.get(n))
                now, then, part = now.get(name), then.get(name), f"{part}'s {name}"
            raise ValueError(
                f"{path} cannot be gone on from: its {part} was {then!r} and is now {now!r}; give "
                "the same again, or choose another folder to start afresh"
            )


def defaults_of(config: Any) -> dict[str, Any]:
    """Field to default of a dataclass's instance; {} of anything else."""
    if not is_dataclass(config):
        return {}
    return {f.name: f.default for f in fields(config) if f.default is not MISSING}


def collect(model: nn.Module, optimisers: Sequence[Optimizer], average: MovingAverage | None,
            history: History) -> dict[str, Tensor]:  # fmt: skip
    """Everything that a run needs to go on exactly, but the random states, as named tensors."""
    state = model.state_dict()
    tensors = {f"model.{name}": state[name] for name in trained_names(model)}
    for k, optimiser in enumerate(optimisers):
        for i, values in optimiser.state_dict()["state"].items():
            for name, value in values.items():
                if value is not None:
                    tensors[f"optimiser.{k}.{i}.{name}"] = torch.as_tensor(value)
    if average:
        named = zip(average.names, average.average, strict=True)
        tensors |= {f"average.{name}": x for name, x in named}
    return tensors | {f"history.{name}": x for name, x in history.tensors().items()}


def restore(tensors: dict[str, Tensor], model: nn.Module, optimisers: Sequence[Optimizer],
            average: MovingAverage | None) -> History:  # fmt: skip
    """Put back what `collect` took."""
    model.load_state_dict(below(tensors, "model."), strict=False)
    for k, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in below(tensors, f"optimiser.{k}.").items():
            i, _, leaf = name.partition(".")
            state.setdefault(int(i), {})[leaf] = value
        whole = optimiser.state_dict() | {"state": state}
        optimiser.load_state_dict(whole)
    if average:
        for name, x in zip(average.names, average.average, strict=True):
            x.copy_(tensors[f"average.{name}"])
    return History.from_tensors(below(tensors, "history."))


def trained_names(model: nn.Module) -> list[str]:
    """Names in the state dict that training may change: all but what lies in a frozen part."""
    frozen = {
        f"{name}.{leaf}" if name else leaf
        for name, module in model.named_modules()
        if isinstance(module, Frozen) and not any(p.requires_grad for p in module.parameters())
        for leaf in module.state_dict()
    }
    return [name for name in model.state_dict() if name not in frozen]


def frozen_digest(model: nn.Module) -> str:
    """Of the weights that a checkpoint leaves out: with others a run cannot go on."""
    state, kept = model.state_dict(), set(trained_names(model))
    return checksum({name: x.cpu() for name, x in state.items() if name not in kept})


def random_states() -> dict[str, Tensor]:
    """The states of torch's, NumPy's and Python's generators in this process."""
    _, keys, place, *normal = np.random.get_state()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.tensor([*keys.tolist(), place, normal[0]], dtype=torch.int64),
        "numpy_normal": torch.tensor(normal[1], dtype=torch.float64),
        "python": torch.tensor(random.getstate()[1], dtype=torch.int64),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Tensor]) -> None:
    """Inverse of `random_states`."""
    torch.set_rng_state(states["torch"])
    *keys, place, has_normal = states["numpy"].tolist()
    normal = states["numpy_normal"].item()
    np.random.set_state(("MT19937", np.array(keys, np.uint32), place, has_normal, normal))
    random.setstate((3, tuple(states["python"].tolist()), None))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without the beginning."""
    return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
