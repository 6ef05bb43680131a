"""A function of tensors whose thousands of small kernels a GPU replays as one (a CUDA graph).

Launched from Python one by one, they keep the device waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class _Recording:
    graph: Any
    places: list[Tensor]
    results: tuple[Tensor, ...]


class Replayed:
    """The function; what it does on a CPU is not recorded but done.

    Args:
        function: Of tensors alone; its kernels depend on nothing but their shapes, and it never waits for the device.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._recordings: dict[tuple[object, ...], _Recording] = {}
        self._pool: Any = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's results; for inputs of each combination of shapes it is recorded when they first come."""
        if inputs[0].device.type != "cuda":
            return self._function(*inputs)
        key = tuple((tuple(x.shape), x.dtype, x.device) for x in inputs)
        if key not in self._recordings:
            self._recordings[key] = self._record(inputs)
        recording = self._recordings[key]
        for place, value in zip(recording.places, inputs, strict=True):
            place.copy_(value)
        recording.graph.replay()
        # The next replay, of any recording, writes over them: all share one pool of memory.
        return tuple(result.clone() for result in recording.results)

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recording:
        places = [x.clone() for x in inputs]
        with torch.cuda.device(inputs[0].device):
            # Libraries reserve their workspaces in a first call, which cannot be recorded.
            aside, own = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(own)
            with torch.cuda.stream(aside):
                self._function(*places)
            own.wait_stream(aside)
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                results = self._function(*places)
        return _Recording(graph, places, results)
