"""The one door to numba: `compiled` turns a plain function on arrays into machine code.

The code is kept on disk (beside the module, or in the user's cache folder where the installation is
read-only), so only the first run on a machine compiles. There is no parallel loop and no fast-math: a result
depends neither on the number of threads nor on the width of the processor's vectors. Numba notices changes
of a function's own file only, so a compiled function never calls one of another module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile a function on its first call, for the types it is called with; it runs without the GIL.

    Division by zero follows IEEE 754 (no exception), and indices are not checked.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast("Kernel", numba.njit(cache=True, **options)(function))
    except RuntimeError as error:
        # Neither the module's folder nor the user's cache can be written to (a locked-down container).
        if "cannot cache" not in str(error):
            raise
        return cast("Kernel", numba.njit(**options)(function))
