"""hmnet check: a look at pictures and masks of one's own, before anyone trains on them.

hmnet check pictures
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from hmnet_lite.data.photos.report import inspect_folder


@dataclass(kw_only=True)
class Options:
    """Tell what a folder of pictures and masks holds: classes and coverage; empty, full and
    suspicious masks; files that are left out, and why.
    """

    folder: Annotated[Positional[str], arg(metavar="FOLDER")]
    """As for --dataset folder --root FOLDER."""
    heads_only: bool = False
    """Do not decode every picture: faster, but damaged ones are not found."""


def run(options: Options, command: str) -> None:
    """Look and print.

    Raises:
        ValueError: some class has too few pictures to learn or test with; told after the report.
        OSError: there is no such folder, or no class in it.
    """
    report = inspect_folder(options.folder, decode=not options.heads_only)
    print(report)
    if not report.usable:
        raise ValueError("a class has fewer than the two pictures that an episode needs; see above")
