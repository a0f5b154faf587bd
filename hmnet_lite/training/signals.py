"""Ctrl-C, SIGTERM and a closed terminal, turned into a question asked between two steps."""

from __future__ import annotations

import signal
import threading
from typing import Any

import torch

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
_STOPPING = (signal.SIGINT, signal.SIGTERM, *([_HANGUP] if _HANGUP else []))


class Stopped(KeyboardInterrupt):
    """Training was asked to stop, and a checkpoint was left.

    Attributes:
        code: the exit status a shell expects: 130 after Ctrl-C, 143 after SIGTERM, 129 after
            SIGHUP.
    """

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class StopAsked:
    """Within it, the first Ctrl-C, SIGTERM or SIGHUP is remembered; a second Ctrl-C ends at once.

    Under nohup a SIGHUP stays ignored.

    Args:
        accelerator: processes that train together stop together.
    """

    def __init__(self, accelerator: Any):
        self._accelerator = accelerator
        self._signal: signal.Signals | None = None
        self._before: dict[int, Any] = {}

    @property
    def name(self) -> str:
        """What asked."""
        if self._signal is None:
            return "another process"
        return "Ctrl-C" if self._signal == signal.SIGINT else self._signal.name

    @property
    def code(self) -> int:
        """The exit status that tells so: 128 and the signal's number."""
        return 128 + (self._signal or signal.SIGINT)

    def asked(self) -> bool:
        """Whether any process was asked to stop."""
        mine = self._signal is not None
        if self._accelerator.num_processes == 1:
            return mine
        flag = torch.tensor(float(mine), device=self._accelerator.device)
        return self._accelerator.reduce(flag, "sum").item() > 0

    def __enter__(self) -> StopAsked:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            for number in _STOPPING:
                if number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: object) -> None:
        if self._signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number)
