"""The one door to Triton, which comes with PyTorch for CUDA on Linux: many small kernels of a GPU as one.

Modules named `fused_...` hold such kernels, and a function `tried` that runs them on next to nothing.
"""

from __future__ import annotations

import importlib
import logging
from functools import lru_cache
from types import ModuleType

import torch

_LOG = logging.getLogger(__name__)


@lru_cache
def fused(module: str, device: torch.device) -> ModuleType | None:
    """A module of kernels, or None where its functions cannot be used: PyTorch's operators then do the same.

    Args:
        module: Its name, absolute.
        device: Where the tensors are. A GPU without Triton, or without the C compiler that Triton calls, is a
            warning, for everything takes longer there.

    Raises:
        torch.OutOfMemoryError: If there is no memory to try them; there may be, later.
    """
    if device.type != "cuda":
        return None
    try:
        found = importlib.import_module(module)
        with torch.cuda.device(device):
            found.tried()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Triton, or the compiler that it calls, raises
        _LOG.warning("%s cannot be compiled here, so its work takes longer: %s", module, error)
        return None
    return found
