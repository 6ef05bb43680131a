"""Arrays on their way to a device, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def room(shape: tuple[int, ...], device: torch.device) -> NDArray[np.uint8]:
    """An array that will be filled, then `uploaded`: for a GPU in pinned memory, which `uploaded` need not copy."""
    array: NDArray[np.uint8] = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda").numpy()
    return array


def uploaded(array: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device; on a GPU the copy runs while the caller goes on.

    Only a copy from pinned memory does. PyTorch keeps such memory until the copy is done, and uses it again.

    Args:
        array: Of any shape and a type that PyTorch has.
        device: Where it shall be; on the CPU the tensor shares the array's memory.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda" or not tensor.numel():  # nothing cannot be pinned
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


def fetched(tensor: Tensor) -> NDArray[Any]:
    """A tensor's values here. The thread sleeps until a GPU has them; PyTorch would keep a core busy with waiting."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    here = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    here.copy_(tensor.contiguous(), non_blocking=True)
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    done.record(torch.cuda.current_stream(tensor.device))
    done.synchronize()
    return here.numpy()
