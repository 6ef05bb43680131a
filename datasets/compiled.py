"""The one door to numba: plain functions on arrays become machine code.

The code is kept on disk (beside the module, or in the user's cache folder where the installation is read-only), so
only the first run on a machine compiles; where neither can be written to, as in a locked-down container, every process
compiles anew. There is no parallel loop and no fast-math: a result depends neither on the number of threads nor on the
width of the processor's vectors. Numba notices changes of a function's own file only, so a compiled function never
calls one of another module. To copy, a loop over numbers is better than the assignment of an array to a part of
another, whose message about shapes that do not fit takes 2 s to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
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


@lru_cache
def compiled_for_c(function: Callable[..., None], signature: Any) -> Any:  # noqa: ANN401 - numba has no types
    """Give a function of C's, at its `.address`, of a signature in numba's types; the first call compiles."""
    return _kept(lambda **options: numba.cfunc(signature, error_model="numpy", **options)(function))


def _compiled(function: Kernel, error_model: Literal["numpy", "python"]) -> Kernel:
    return cast(
        "Kernel",
        _kept(lambda **options: numba.njit(nogil=True, error_model=error_model, **options)(function)),
    )


def _kept(compile_with: Callable[..., Any]) -> Any:  # noqa: ANN401 - numba has no types
    try:
        return compile_with(cache=True)
    except RuntimeError as error:
        # Neither the module's folder nor the user's cache can be written to.
        if "cannot cache" not in str(error):
            raise
        return compile_with()
