"""Triton's interpreter made fast enough for a suite; imported where TRITON_INTERPRET=1."""

from triton.runtime.interpreter import GridExecutor, InterpretedFunction

from hmnet_kernels.gpu import launch

_launch, _call = GridExecutor.__call__, InterpretedFunction.__call__
_patched: set[str] = set()  # modules whose language this launch has patched


def _launch_anew(self, *given, **named):
    _patched.clear()
    return _launch(self, *given, **named)


def _call_patching_once(self, *given, **named):
    """The interpreter patches again at every call of a device function: half of its time."""
    if self.fn.__module__ in _patched:
        return self.rewrite()(*given, **named)
    _patched.add(self.fn.__module__)
    return _call(self, *given, **named)


GridExecutor.__call__ = _launch_anew
InterpretedFunction.__call__ = _call_patching_once
launch.CHUNK = 8  # chunks so short that 21 steps have three
