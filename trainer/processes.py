"""Several processes that learn one student (`torchrun`): who this one is, and sums over all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

_PATIENCE = timedelta(days=1)
"""The others wait while the first validates. PyTorch's own 10 minutes (NCCL) are less than whole videos may take; that
a process died is seen by torchrun at once."""


@dataclass(frozen=True)
class Processes:
    """This process among its peers.

    Attributes:
        rank: Its number.
        count: How many there are.
        device: Where it computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """This is the process that writes, prints and validates."""
        return self.rank == 0

    def sum_gradients(self, parameters: Iterable[nn.Parameter], flag: bool) -> bool:
        """Add up all processes' gradients, in place; tells whether any process raised its flag."""
        if self.count == 1:
            return flag
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients] + [torch.tensor([float(flag)], device=self.device)])
        distributed.all_reduce(flat)
        start = 0
        for g in gradients:
            g.copy_(flat[start : start + g.numel()].view_as(g))
            start += g.numel()
        return bool(flat[-1] > 0)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Tell whether any process raises its flag."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)) > 0)

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401  # whatever is gathered
        """Every process's value, by rank, in the first process; an empty list in the others."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        distributed.gather_object(value, found if self.first else None)
        return found if self.first else []

    def agree(self, value: Any) -> Any:  # noqa: ANN401  # whatever is agreed on
        """The first process's value, in all."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def leave(self) -> None:
        """End the group."""
        if self.count > 1:
            distributed.destroy_process_group()


def is_first() -> bool:
    """Whether this process is the one that writes: `Processes.first`, before they have joined."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1 or int(os.environ["RANK"]) == 0


def join(device: str) -> Processes:
    """Join the processes that torchrun started, or be alone.

    Args:
        device: cpu, cuda, cuda:1, ...; auto: cuda where there is one. Of several processes with CUDA, each takes the
            device of its local rank.

    Raises:
        ValueError: If there is no such device that can compute.
    """
    kind = device
    if device == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"machine.device is {device}, but PyTorch finds no CUDA device here: choose cpu or auto"
        )
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and kind.startswith("cuda"):
        kind = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        chosen = torch.device(kind)
        torch.zeros(1, device=chosen).item()  # some can be named that are not here, or compute nothing
    except torch.OutOfMemoryError:  # it is there, and others fill it
        raise
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"machine.device: {kind!r} is no device to learn on here ({reason})") from error
    if count == 1:
        return Processes(0, 1, chosen)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    return Processes(distributed.get_rank(), count, chosen)
