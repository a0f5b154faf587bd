"""Random numbers that are the same for ever: what an episode is made of, in every data set."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Stream:
    """Random numbers frozen by definition: the SHAKE-256 digest of a key, read in 32-bit words.

    Nothing depends on a library's generator, so a key gives the same numbers for ever.
    """

    def __init__(self, *key: object) -> None:
        self._key = "/".join(map(str, key))
        self._words: list[int] = []
        self._blocks = 0

    def below(self, n: int) -> int:
        """An integer in 0..n-1 (its bias, under n / 2**32, is far below what scenes can show)."""
        if not self._words:
            digest = hashlib.shake_256(f"{self._key}#{self._blocks}".encode()).digest(1024)
            self._words = list(struct.unpack("<256I", digest))
            self._blocks += 1
        return self._words.pop() * n >> 32

    def between(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + self.below(high - low + 1)

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A new list in random order (Fisher-Yates)."""
        result = list(items)
        for i in range(len(result) - 1, 0, -1):
            j = self.below(i + 1)
            result[i], result[j] = result[j], result[i]
        return result

    def bytes(self, n: int, purpose: object) -> np.ndarray:
        """(n,) uint8, the same for the same purpose however much was drawn before."""
        key = f"{self._key}#{purpose} bytes"
        return np.frombuffer(hashlib.shake_256(key.encode()).digest(n), np.uint8)
