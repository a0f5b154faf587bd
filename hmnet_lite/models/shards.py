"""A cache of tensors on disk, shard by shard: whole or absent, checked, shared, resumable.

Each shard is written by :func:`hmnet_lite.tensors.write_tensors`, so it is whole or not there, and
a damaged one is found by its checksum and computed again. Two runs may fill one cache.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hmnet_lite.files import cache_folder, write_json
from hmnet_lite.tensors import DamagedFile, read_names, read_tensors, write_tensors

Compute = Callable[[int, int], dict[str, Tensor]]
"""(start, stop) → the tensors of these items; must be picklable."""
LEFTOVER = 3600.0  # seconds after which a temporary file has no writer any more


@dataclass(frozen=True)
class Cache:
    """Where the shards of one content lie, and how to make one.

    Attributes:
        key: everything that decides the content; its digest names the folder.
        length, shard: items altogether, and in one file.
        compute: makes the tensors of a shard.
        names: of these tensors.
        unit: what an item is called.
        folder: of all caches; `cache_folder()` when None.
    """

    key: str
    length: int
    shard: int
    compute: Compute
    names: tuple[str, ...]
    unit: str
    folder: str | os.PathLike[str] | None = None

    @property
    def path(self) -> Path:
        """The folder of this content."""
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:20]
        return Path(self.folder or cache_folder()) / digest

    def spans(self) -> list[tuple[int, int]]:
        """(start, stop) of every shard."""
        return [(i, min(i + self.shard, self.length)) for i in range(0, self.length, self.shard)]

    def file(self, span: tuple[int, int]) -> Path:
        """Where a shard lies."""
        return self.path / f"{span[0]:06d}-{span[1]:06d}.safetensors"

    def there(self, span: tuple[int, int]) -> bool:
        """Whether a file is there that begins as a whole shard does."""
        try:
            return read_names(self.file(span)) == set(self.names)
        except (FileNotFoundError, DamagedFile):
            return False

    def read(self, span: tuple[int, int]) -> dict[str, Tensor]:
        """A shard, mapped into memory; computed (again) where it is missing or damaged."""
        try:
            tensors, _ = read_tensors(self.file(span), mapped=True)
            if tensors.keys() == set(self.names):
                return tensors
        except (FileNotFoundError, DamagedFile):
            pass
        self.write(span)
        return read_tensors(self.file(span), mapped=True)[0]

    def write(self, span: tuple[int, int], tensors: dict[str, Tensor] | None = None) -> int:
        """Compute and write a shard; returns how many items it holds."""
        path = self.file(span)
        tensors = self.compute(*span) if tensors is None else tensors
        if path.is_dir() and not path.is_symlink():  # nothing of ours: it would stay in the way
            shutil.rmtree(path)
        with _named():
            write_tensors(path, tensors, {})
        return span[1] - span[0]

    def fill(self, workers: int | None = None, progress: bool = True) -> None:
        """Make every shard that is missing.

        Args:
            workers: processes that compute (None: one a CPU core; 1: this process alone).
            progress: say beforehand what it takes, and show a bar.

        Raises:
            OSError: there is no room for it (said before the work), or nothing can be written.
        """
        from tqdm.auto import tqdm

        remove_leftovers(self.path)
        missing = [span for span in self.spans() if not self.there(span)]
        if not missing:
            return
        workers = min(workers or os.cpu_count() or 1, len(missing))
        todo = sum(stop - start for start, stop in missing)
        began = time.perf_counter()
        first = self.compute(missing[0][0], missing[0][0] + 1)
        spent = time.perf_counter() - began
        size = todo * sum(x.numel() * x.element_size() for x in first.values())
        self._check_room(size)
        with _named():
            write_json(self.path / "cache.json", {"key": self.key, "unit": self.unit})
        if progress:
            minutes = todo * spent / workers / 60
            tqdm.write(
                f"{todo:,} {self.unit}s are drawn and encoded once: about {size / 1e9:.1f} GB in "
                f"{self.path} (HMNET_LITE_CACHE chooses the folder), "
                f"{'under a minute' if minutes < 1 else f'{minutes:.0f} min'} "
                f"with {workers} process{'es' if workers > 1 else ''}"
            )
        with tqdm(total=todo, desc="features", unit=self.unit, disable=not progress) as bar:
            for count in _compute(self, missing, workers):
                bar.update(count)

    def _check_room(self, size: int) -> None:
        there = next(p for p in (self.path, *self.path.parents) if p.is_dir())
        free = shutil.disk_usage(there).free
        if size > free:
            raise OSError(
                errno.ENOSPC,
                f"no room for the cache: it needs {size:,} bytes and {free:,} are free. Mend: "
                "free some space, ask for fewer, or set HMNET_LITE_CACHE to another folder",
                str(there),
            )


@contextmanager
def _named() -> Iterator[None]:
    """An error of the disk also says how to put caches elsewhere."""
    try:
        yield
    except OSError as error:
        hint = "caches live in the folder that HMNET_LITE_CACHE names"
        raise OSError(error.errno, f"{error.strerror}; {hint}", error.filename) from error


def remove_leftovers(folder: Path) -> int:
    """Remove temporary files that a killed process left; returns how many."""
    removed = 0
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFTOVER:
                path.unlink()
                removed += 1
    return removed


def caches(folder: str | os.PathLike[str] | None = None) -> list[tuple[Path, int, float]]:
    """Every cache in a folder: its path, its bytes, and when it last changed (seconds, epoch)."""
    found = []
    for path in sorted(Path(folder or cache_folder()).glob("*/")):
        files = [p.stat() for p in path.glob("*.safetensors") if p.is_file()]
        if files:
            size = sum(f.st_size for f in files)
            found.append((path, size, max(f.st_mtime for f in files)))
    return found


# ------------------------------------------------------------------------------------ processes


def _compute(cache: Cache, spans: Sequence[tuple[int, int]], workers: int) -> Iterator[int]:
    """Make shards; yields how many items were finished each time some were."""
    if workers == 1:
        for span in spans:
            yield from _item_by_item(cache, span)
        return
    # processes, not threads: drawing scenes is Python work. loky's, not the standard library's:
    # they do not import the script that started them, so it needs no main guard
    from joblib.externals.loky import ProcessPoolExecutor, as_completed

    with _without_interrupts():  # Ctrl-C is for this process; it ends the workers
        pool = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(os.getpid(),))
        futures = [pool.submit(_work, cache, span) for span in spans[1:]]
    done = False
    try:
        yield from _item_by_item(cache, spans[0])  # while the workers start
        for future in as_completed(futures):
            yield future.result()
        done = True
    finally:
        pool.shutdown(wait=True, kill_workers=not done)


def _item_by_item(cache: Cache, span: tuple[int, int]) -> Iterator[int]:
    """One shard, told after every item."""
    rows: dict[str, list[Tensor]] = {name: [] for name in cache.names}
    for index in range(*span):
        for name, value in cache.compute(index, index + 1).items():
            rows[name].append(value)
        yield 1
    cache.write(span, {name: torch.cat(values) for name, values in rows.items()})


def _work(cache: Cache, span: tuple[int, int]) -> int:
    # another run may have made it meanwhile
    return span[1] - span[0] if cache.there(span) else cache.write(span)


def _start_worker(parent: int) -> None:
    torch.set_num_threads(1)

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started inside never see Ctrl-C (the mask is inherited); this one does, after."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
