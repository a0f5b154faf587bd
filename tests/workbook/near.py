"""Numbers that were kept against numbers that were computed."""

import numpy as np


def assert_near(found, expected, where="", *, relative=1e-3, absolute=0.0):
    """Numbers to a part of the largest in their list; everything else exactly.

    Args:
        found, expected: what JSON holds.
        where: named when they differ.
        relative: of the largest number in a list.
        absolute: what is let go in any case.
    """
    options = dict(relative=relative, absolute=absolute)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_near(found[key], expected[key], f"{where}.{key}", **options)
    elif isinstance(expected, list) and any(
        isinstance(x, (str, dict, list, bool)) for x in expected
    ):
        assert len(found) == len(expected), where
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_near(one, other, f"{where}[{index}]", **options)
    elif expected is None or isinstance(expected, (str, bool, int)):
        assert found == expected, where
    elif expected == []:
        assert found == [], where
    else:
        allowed = max(relative * np.abs(expected).max(), absolute)
        assert np.shape(found) == np.shape(expected), where
        assert np.abs(np.subtract(found, expected)).max() <= allowed, where
