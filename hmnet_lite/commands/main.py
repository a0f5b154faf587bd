"""Commands: hmnet COMMAND ..., or python -m hmnet_lite COMMAND ..., from a shell.

hmnet train --fold 0 --steps 2500 --training-episodes 4000 --seed 0 --out model.safetensors
hmnet evaluate model.safetensors
hmnet segment --support cup.jpg --mask cup.png --query desk.jpg --out masks

A command is a module of this folder: a dataclass `Options`, whose fields are its options, and a
function `run` that takes them and the line that was typed. Only the module asked for is imported.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

#: name to what it does, in the order of the help
COMMANDS = {
    "segment": "masks for pictures of your own, from one example or a few",
    "check": "pictures and masks in a folder: what is there, and what is odd about it",
    "train": "train a network and save it; --resume goes on with one that was stopped",
    "train-published": "train the published HMNet on photographs, as in the paper",
    "train-referring": "train a ReMamber, which finds what a sentence names",
    "train-diffusion": "train a DiffewS, which draws masks by diffusion, in three stages",
    "evaluate": "test a saved network on classes it has not seen",
    "compare": "train with and without Mamba, test both",
    "info": "this machine, the backends, models and data found on it",
}
#: what a user's input, the disk or the machine can cause; anything else is a fault of ours
EXPECTED = (ValueError, OSError, ImportError, ArithmeticError, MemoryError, RuntimeError)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        the exit status: 0; 2 after one clear line on what was asked for wrongly; 1 after one line
        on a fault of ours; 130 stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if words is None else words)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell (`>&-`): nobody wants to read it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as we live
        with suppress(AttributeError, ValueError):  # a terminal that cannot write 杯子 says ??
            getattr(sys, name).reconfigure(errors="replace")
    command, *rest = words or ["--help"]
    program = f"hmnet {command}"
    try:
        if command in ("-h", "--help", "help"):
            print(overview(), flush=True)
            return 0 if words else 2
        if command not in COMMANDS:
            raise ValueError(f"there is no such command; expected one of {', '.join(COMMANDS)}")
        module = import_module(f"hmnet_lite.commands.{command.replace('-', '_')}")
        from hmnet_lite.commands.options import read

        module.run(read(module.Options, rest, program), shlex.join(["hmnet", *words]))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (`| head -1`) has seen enough; files are written by now
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:  # help was asked for
        return int(end.code or 0)
    except KeyboardInterrupt as stopped:
        said = str(stopped) or "stopped; finished files are kept and serve the next run"
        print(f"{program}: {said}", file=sys.stderr)
        return getattr(stopped, "code", 130)
    except EXPECTED as error:
        print(f"{program}: {_one_line(error)}", file=sys.stderr)
        return 2
    except Exception as error:
        if os.environ.get("HMNET_LITE_TRACEBACK"):
            raise
        print(
            f"{program}: {type(error).__name__}: {_one_line(error)} (a fault of the package; "
            "HMNET_LITE_TRACEBACK=1 shows where)",
            file=sys.stderr,
        )
        return 1
    return 0


def overview() -> str:
    """What `hmnet --help` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{does}" for name, does in COMMANDS.items()]
    return "\n".join(
        ["usage: hmnet COMMAND [OPTIONS]", "", *lines, "", "hmnet COMMAND --help lists its options"]
    )


def _one_line(error: BaseException) -> str:
    """What an error says, on one line, with its kind where it says nothing."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    return " ".join(text.split()) or type(error).__name__
