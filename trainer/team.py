"""PyTorch's own threads at the work of compiled kernels.

OpenMP's threads spin on their cores for milliseconds after every operator: in threads of anybody else's a kernel would
have to share the cores with these. So it is these that run it, where PyTorch is built with GNU's OpenMP, as it is on
Linux; elsewhere the thread that calls does all of it.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from torch import Tensor

_parallel = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
"""void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags), found where PyTorch's own
libraries find it."""

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def share(function: int, tensors: tuple[Tensor, ...], numbers: tuple[int, ...]) -> None:
    """Have as many threads as PyTorch's operators take run one function, each the whole of it.

    Args:
        function: Address of a void(void **), see `compiled_for_c`. It is given the addresses of the tensors' data, and
            at last that of int64 numbers: a 0, with which the threads may count what they share out, and `numbers`.
        tensors: Contiguous, on the CPU.
        numbers: Whatever else it has to know.
    """
    work = np.array([0, *numbers], np.int64)
    given = np.array([*(t.data_ptr() for t in tensors), work.ctypes.data], np.uintp)
    threads = torch.get_num_threads()
    if _parallel is None or threads == 1:
        _FUNCTION(function)(given.ctypes.data)
    else:
        _parallel(
            ctypes.c_void_p(function),
            ctypes.c_void_p(given.ctypes.data),
            ctypes.c_uint(threads),
            ctypes.c_uint(0),
        )
