"""Files that are either whole or not there.

A cache, a checkpoint or a report that is half-written is worse than none: it is found later, by
something that trusts it. So every file the package writes goes through :func:`replace_atomically`:
the bytes go to a temporary file in the same folder, are flushed to the disk, and only then take
the real name in one step (POSIX ``rename``; ``os.replace`` gives the same on Windows). Readers see
the old file or the new one, never a mixture, whatever interrupts the writer.
"""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cache_folder() -> Path:
    """Where caches live: $HMNET_LITE_CACHE, or hmnet_lite in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HMNET_LITE_CACHE") or Path(base) / "hmnet_lite")


def replace_atomically(
    path: str | os.PathLike[str],
    write: Callable[[BinaryIO], object],
    *,
    needed: int | None = None,
) -> Path:
    """Create or replace ``path`` with what ``write(file)`` writes, all of it or nothing.

    ``write`` gets a file open for binary writing (seekable, so ``numpy.savez`` and ``torch.save``
    work). Missing folders are created; a symbolic link keeps pointing where it did and its target
    is replaced. ``needed`` is the size in bytes where it is known: it only serves the message.
    Returns the path as a :class:`~pathlib.Path`.

    Whatever goes wrong, Ctrl-C included, the temporary file is removed and the old file stays as it
    was. (A process that is *killed* may leave ``.<name>.<random>.tmp`` behind; nothing reads it.)

    Raises:
        OSError: nothing could be written (disk full, quota, permissions, a folder in the way). It
            keeps the system's ``errno`` and names the file, the bytes and the mend.
        BaseException: whatever ``write`` raised by itself, unchanged.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    watched = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb", buffering=0) as raw:
            watched = _Watched(raw)
            write(cast(BinaryIO, watched))  # all that a writer asks of one
            if watched.refused:  # the writer swallowed it: what is there is not whole
                raise watched.refused
            os.fsync(raw.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        refused = error if isinstance(error, OSError) else watched and watched.refused
        if not refused or not isinstance(error, Exception):
            raise
        written = watched.written if watched else 0
        raise OSError(
            refused.errno, _explain(refused, target, needed, written), str(target)
        ) from error
    return Path(path)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Create or replace ``path`` with ``data``; see :func:`replace_atomically`."""
    return replace_atomically(path, lambda file: file.write(data), needed=len(data))


def write_json(path: str | os.PathLike[str], value: Any) -> Path:
    """Create or replace ``path`` with ``value`` as readable UTF-8 JSON, strictly as RFC 8259 says.

    Raises:
        TypeError: ``value`` holds something JSON has no word for.
        ValueError: ``value`` holds NaN or an infinity (use ``None``).
        OSError: see :func:`replace_atomically`. The old file stays in every case.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return write_bytes(path, (text + "\n").encode())


class _Watched(io.BufferedIOBase):
    """A binary file that remembers how far it got and which error the system gave it.

    Needed because libraries hide it: ``torch.save`` turns a full disk into "enforce fail ...
    unexpected pos", ``numpy.save`` on a real file into an OSError without a number.
    """

    def __init__(self, raw: io.FileIO):
        self._raw = raw
        self.written = 0
        self.refused: OSError | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def write(self, data) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest:  # a raw file may take only a part, above all on a disk that is filling up
                taken = self._raw.write(rest)
                self.written += taken
                rest = rest[taken:]
        except OSError as error:
            self.refused = error
            raise
        return size


def _explain(error: OSError, target: Path, needed: int | None, written: int) -> str:
    """One sentence on what happened, what is safe, and what to do."""
    reason = error.strerror or str(error)
    if error.errno not in _NO_ROOM:
        mend = "choose another folder, or mend this one's permissions"
        return f"could not write it ({reason}); what was there is untouched. Mend: {mend}"
    size = f"{needed:,} bytes" if needed is not None else f"more than {written:,} bytes"
    try:
        free = f"{shutil.disk_usage(target.parent).free:,} bytes are free there"
    except OSError:
        free = "how much is free there is unknown"
    return (
        f"no room to write it ({reason}): it needs {size}, {free}; what was there is untouched. "
        "Mend: free some space or choose another folder"
    )
