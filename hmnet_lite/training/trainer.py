"""One trainer for every network here: steps, checkpoints, exact resume, any number of processes.

    trainer = Trainer(model, source, TrainConfig(steps=2500), folder="runs/first")
    history = trainer.fit(resume=True)

It runs through Hugging Face accelerate: one CPU or GPU as it is, several with
`accelerate launch`. What is learned from and what is minimised are arguments: a `Source` and a
loss function, (model, batch) → (loss, numbers to log).
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hmnet_lite.tensors import write_tensors
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.history import History
from hmnet_lite.training.losses import Loss, episode_loss
from hmnet_lite.training.optimisers import MovingAverage, make_optimisers, set_rate
from hmnet_lite.training.parallel import Batches, Objective, make_accelerator, share_batch_norms
from hmnet_lite.training.runs import (
    RunFolder,
    below,
    collect,
    defaults_of,
    frozen_digest,
    random_states,
    restore,
    set_random_states,
)
from hmnet_lite.training.signals import StopAsked, Stopped
from hmnet_lite.training.sources import Source
from hmnet_lite.training.watching import Step, flat, log_writer, progress_bar

READ_EVERY = 20  # steps a GPU runs ahead before its numbers are read


class Trainer:
    """Trains a model in place.

    Args:
        model: on the device to train on.
        source: what it learns from, see `hmnet_lite.training.sources`.
        config: budget, optimiser and the rest.
        loss: (model, batch) → (loss, numbers to log). The loss must be a mean over episodes.
        folder: where checkpoints are kept; None: nowhere, and Ctrl-C loses the run.
        on_step: called with a `Step` after each step.
        validate: a score of the model, higher is better, asked at every checkpoint; the best
            checkpoint is kept. Without it the training loss decides.
        tensorboard: folder for TensorBoard's logs.
        progress: show a bar with loss, metrics and the time that is left.

    Raises:
        ValueError: the batch cannot be shared by the processes there are, or nothing wants a
            gradient.
        ImportError: accelerate is not installed (said with the mend).
    """

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        config: TrainConfig | None = None,
        *,
        loss: Loss = episode_loss,
        folder: str | os.PathLike[str] | None = None,
        on_step: Callable[[Step], object] | Sequence[Callable[[Step], object]] = (),
        validate: Callable[[nn.Module], float] | None = None,
        tensorboard: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ):
        self.model, self.source = model, source
        self.config = config = config or TrainConfig()
        self.on_step = (on_step,) if callable(on_step) else tuple(on_step)
        self.validate, self.tensorboard, self.progress = validate, tensorboard, progress
        self.history = History()
        self._step, self._best, self._saved = 0, None, -1
        self._optimisers = make_optimisers(model, config)
        self._average = MovingAverage(model, config.ema) if config.ema is not None else None
        self._accelerator = make_accelerator(model, config)
        count = self._accelerator.num_processes
        if config.batch % count:
            raise ValueError(
                f"a batch of {config.batch} cannot be shared equally by {count} processes; "
                f"expected a multiple of {count}"
            )
        if count > 1:
            share_batch_norms(model)
        self._objective = self._accelerator.prepare(Objective(model, loss))
        self._steppers = [self._accelerator.prepare(o) for o in self._optimisers]
        network = getattr(model, "config", None)
        identity = {
            "config": config.deciding(),
            "network": {"class": type(model).__name__} | (network.to_dict() if network else {}),
            "data": source.fingerprint,
            "frozen weights": frozen_digest(model),
        }
        defaults = {"config": defaults_of(config), "network": defaults_of(network)}
        self._run = RunFolder(Path(folder), config.keep, identity, defaults) if folder else None

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self._accelerator.is_main_process

    def write(self, save: Callable[[], object]) -> None:
        """Let the main process write a result; all go on once it is there."""
        try:
            if self.is_main:
                save()
        finally:
            self._accelerator.wait_for_everyone()

    def fit(self, resume: bool = False) -> History:
        """Train to the end of the budget.

        Args:
            resume: go on from the newest checkpoint in the folder; where there is none, start
                afresh.

        Returns:
            what happened since the run's very beginning. The model is in evaluation mode, with
            the averaged weights if an average was asked for.

        Raises:
            ValueError: the folder's run has another config, network or data (the field is named);
                or it is unfinished and `resume` is False.
            FloatingPointError: the loss or many gradients in a row are not finite. The weights are
                the last good ones, and the batch is in the folder.
            Stopped: a KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; a checkpoint was left and the
                message says how to go on.
        """
        self._begin(resume)
        stop = StopAsked(self._accelerator) if self._run else nullcontext()
        self.model.train()
        with stop, self._watched() as (bar, writer):
            batches = Batches(self.source, self.config, self._accelerator)
            pending, began = [], None
            before = self.history.seconds[-1] if self.history.steps else 0.0
            done = self._done(began, before)
            while done < 1:
                set_rate(self._optimisers, self.config.rate(done))
                pending.append(self._take(batches.get(self._step)))
                self._step += 1
                if self._average:
                    self._average.update(self._step)
                if began is None:  # the first step compiles: it is not counted
                    self._wait()
                    began = time.perf_counter()
                done = self._done(began, before)
                due = done >= 1 or self._step % self.config.checkpoint_every == 0
                stopped = self._run is not None and stop.asked()
                if due or stopped or len(pending) >= self._patience():
                    self._read(pending, began, before, bar, writer)
                if self._run and (due or stopped):
                    self._checkpoint(finished=done >= 1)
                if stopped and done < 1:
                    raise Stopped(self._how_to_go_on(stop), stop.code)
            batches.close()
        if self._average:
            self._average.swap()
        self.model.eval()
        return self.history

    def _take(self, batch: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """One step; gives loss, whether the gradient was finite, and the metrics, unread."""
        loss, metrics = self._objective(batch)
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        parameters = [p for o in self._optimisers for g in o.param_groups for p in g["params"]]
        self._accelerator.unscale_gradients()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.clip, foreach=True)
        finite = torch.isfinite(norm) & torch.isfinite(loss.detach())
        if norm.is_cuda and self._accelerator.scaler is None:
            for optimiser in self._optimisers:  # fused kernels skip by themselves: nothing waits
                optimiser.grad_scale, optimiser.found_inf = None, (~finite).float()
                optimiser.step()
        elif self._accelerator.scaler is not None or finite:
            for stepper in self._steppers:
                stepper.step()
        return loss.detach(), finite, {n: torch.as_tensor(x).detach() for n, x in metrics.items()}

    def _read(self, pending: list, began: float, before: float, bar, writer) -> None:
        """Bring the numbers of the last steps to the host, and act on them."""
        if not pending:
            return
        first = self._step - len(pending)
        rows = torch.stack([torch.stack([x, *m.values()]).float() for x, _, m in pending])
        rows = self._accelerator.reduce(rows, "mean").tolist()
        finite = torch.stack([f for _, f, _ in pending]).tolist()
        names = list(pending[0][2])
        seconds = before + time.perf_counter() - began
        pending.clear()
        for i, (loss, *values) in enumerate(rows):
            self.history.add(loss, seconds, dict(zip(names, values, strict=True)))
            if not finite[i]:
                self.history.refused.append(first + i)
            self._check(first + i, loss)
            step = Step(first + i + 1, self._done(began, before), loss,
                        dict(zip(names, values, strict=True)), self.model)  # fmt: skip
            for call in self.on_step:
                call(step)
            if writer:
                for name, value in {"loss": loss, **step.metrics}.items():
                    writer.add_scalar(name, value, step.number)
        bar.set_postfix_str(
            ", ".join(f"{n} {v:.3f}" for n, v in self.history.recent().items()), refresh=False
        )
        spent = self._step if self.config.steps else min(bar.total, int(seconds))
        bar.update(spent - bar.n)

    def _check(self, step: int, loss: float) -> None:
        """Stop where going on has no sense."""
        broken = loss != loss or loss in (float("inf"), float("-inf"))
        refused = self.history.refused[-self.config.patience :]
        stuck = len(refused) == self.config.patience and refused[0] == step - len(refused) + 1
        if not broken and not stuck:
            return
        kept = self._keep_batch(step)
        what = (
            f"the loss is {loss} at step {step}"
            if broken
            else f"the gradient was not finite in the {len(refused)} steps up to {step}"
        )
        raise FloatingPointError(
            f"{what}; the weights are the last good ones{kept}. Mend: lower learning_rate "
            f"({self.config.learning_rate}), or look for broken episodes in that batch (step "
            f"{step}, seed {self.config.seed})"
        )

    def _keep_batch(self, step: int) -> str:
        """Write the batch of a step for a look; says where."""
        if not self._run:
            return ""
        batch = Batches(self.source, self.config, self._accelerator).get(step)
        path = self._run.folder / f"broken-step-{step:08d}.safetensors"
        try:
            write_tensors(path, flat(batch), {"kind": "batch", "step": str(step)})
        except OSError as error:
            return f" (its batch could not be kept: {error})"
        return f", its batch is in {path}"

    def _begin(self, resume: bool) -> None:
        rank = self._accelerator.process_index
        torch.manual_seed(self.config.seed + rank)
        self.history, self._step, self._best = History(), 0, None
        if not self._run:
            return
        if not resume:
            self._run.refuse_unfinished()
            if self._accelerator.is_main_process:
                self._run.remove()
            return
        found = self._run.load()
        if found is None:
            return
        _, tensors, facts = found
        self.history = restore(tensors, self.model, self._optimisers, self._average)
        self._step, self._best, self._saved = facts["step"], facts["best"], facts["step"]
        if self._accelerator.scaler is not None and facts["scaler"]:
            self._accelerator.scaler.load_state_dict(facts["scaler"])
        states = below(tensors, f"random.{rank}.") or below(tensors, "random.0.")
        set_random_states(states)

    def _checkpoint(self, finished: bool) -> None:
        """Write one; a disk that refuses costs nothing but the warning."""
        if self._saved == self._step:
            return
        score = self._score()
        best = self._best is None or score > self._best
        self._best = score if best else self._best
        tensors = collect(self.model, self._optimisers, self._average, self.history)
        for rank, states in enumerate(self._gathered(random_states())):
            tensors |= {f"random.{rank}.{name}": x for name, x in states.items()}
        scaler = self._accelerator.scaler
        facts = {"step": self._step, "best": self._best, "finished": finished,
                 "scaler": scaler.state_dict() if scaler is not None else None}  # fmt: skip
        if self._accelerator.is_main_process:
            try:
                self._run.save(tensors, facts, best)
            except OSError as error:
                kept = self._run.checkpoints()
                last = f"the last one is {kept[0]}" if kept else "there is none yet"
                warnings.warn(f"no checkpoint at step {self._step}: {error}; {last}", stacklevel=2)
                return
        self._saved = self._step

    def _score(self) -> float:
        if self.validate is None:
            return -self.history.recent(max(self._step - max(self._saved, 0), 1))["loss"]
        self.model.eval()
        if self._average:
            self._average.swap()
        try:
            return float(self.validate(self.model))
        finally:
            if self._average:
                self._average.swap()
            self.model.train()

    def _how_to_go_on(self, stop: StopAsked) -> str:
        saved = self._run.checkpoints()
        if self._saved != self._step or not saved:
            return f"stopped by {stop.name} at step {self._step:,}; no checkpoint could be written"
        return (
            f"stopped by {stop.name} at step {self._step:,}; {saved[0]} holds everything: go on "
            "with resume (--resume)"
        )

    def _done(self, began: float | None, before: float) -> float:
        """Share of the budget that is spent."""
        if self.config.steps:
            return self._step / self.config.steps
        now = 0.0 if began is None else time.perf_counter() - began
        done = (before + now) / (60 * self.config.minutes)
        if self._accelerator.num_processes > 1:  # one clock for all
            done = torch.tensor(done, device=self._accelerator.device)
            done = self._accelerator.reduce(done, "mean").item()
        return done

    def _patience(self) -> int:
        return READ_EVERY if self._accelerator.device.type == "cuda" else 1

    def _wait(self) -> None:
        if self._accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    @contextmanager
    def _watched(self) -> Iterator[tuple[Any, Any]]:
        shown = self.is_main and self.progress
        logs = self.tensorboard if self.is_main else None
        with progress_bar(self.config, self._step, shown) as bar, log_writer(logs) as writer:
            yield bar, writer

    def _gathered(self, states: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        if self._accelerator.num_processes == 1:
            return [states]
        from accelerate.utils import gather_object

        return gather_object([states])
