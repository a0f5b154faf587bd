"""Hugging Face diffusers, asked for when it is first needed: importing it takes seconds."""

from __future__ import annotations

from types import ModuleType


def diffusers() -> ModuleType:
    """The library.

    Raises:
        ImportError: it is not installed (said with the mend).
    """
    try:
        import diffusers
    except ImportError as error:
        raise ImportError(
            f"DiffewS needs {error.name}; install it with pip install 'hmnet-lite[diffusion]'"
        ) from error
    return diffusers
