"""The one door to numba: plain functions on arrays become machine code.

The code is kept on disk (beside the module, or in the user's cache folder where the installation is
read-only), so only the first run on a machine compiles; where neither can be written to, as in a locked-down
container, every process compiles anew. There is no parallel loop and no fast-math: a result
depends neither on the number of threads nor on the width of the processor's vectors. Numba notices changes
of a function's own file only, so a compiled function never calls one of another module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a function on its first call, for the types it is called with; it runs without the GIL.

    Division by zero follows IEEE 754 (no exception), and indices are not checked.
    """
    return _compiled(function, "numpy")


def compiled_like_python(function: Kernel) -> Kernel:
    """`compiled`, but division by zero raises ZeroDivisionError, as the function would in Python."""
    return _compiled(function, "python")


def _compiled(function: Kernel, error_model: Literal["numpy", "python"]) -> Kernel:
    options: dict[str, Any] = {"nogil": True, "error_model": error_model}
    try:
        return cast("Kernel", numba.njit(cache=True, **options)(function))
    except RuntimeError as error:
        # Neither the module's folder nor the user's cache can be written to.
        if "cannot cache" not in str(error):
            raise
        return cast("Kernel", numba.njit(**options)(function))
