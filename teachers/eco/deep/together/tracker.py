"""The batch teacher: which slot's target lies in which row of which pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from teachers.base import Box, Image, Task
from teachers.eco.deep.beginning import Start
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.slots import Slots
from teachers.eco.deep.together.joint import Learning
from teachers.eco.deep.together.pool import Pool

MOST = 16
"""Rows of a pool: the 80 regions of as many videos fill a GPU, and one network call with them takes 4 GB."""


class EcoDeepTogether(Slots):
    """A `BatchTeacher` whose slots are stepped together, on the network's device.

    A slot takes 71 MB there (53 MB where its search region has a side of 208 instead of 240 pixels): 61 MB for the
    latest 200 samples, 8 MB for their normal equations. Memory is taken for sixteen slots of the same side at once,
    and given back when the last of them is released. Beside that, a network call takes 4 GB, a first frame 0.3 GB.

    Boxes are those of `EcoDeep` to within rounding. On one core of a CPU a frame's share beside the network is 27 ms
    instead of 7, more than half of it for resizing, and frame 0 takes twice as long. See `Slots` for the arguments.
    """

    def __init__(
        self, extractor: Extractor, begin: Callable[[Image | None, Box, Task], Start], slots: int
    ) -> None:
        super().__init__(extractor, begin, slots)
        self._learning = Learning()
        self._pools: list[Pool] = []
        self._places: dict[int, tuple[Pool, int]] = {}

    @torch.inference_mode()
    def step(self, images: Mapping[int, Image]) -> dict[int, Box | Exception]:
        """Track the next frame of each slot given, see `BatchTeacher.step`."""
        searches = []
        # All are under way before the first answer is waited for.
        for pool in self._pools:
            slots = {self._places[slot][1]: slot for slot in images if self._places[slot][0] is pool}
            if slots:
                searches.append((pool, slots, pool.search({row: images[s] for row, s in slots.items()})))
        answers: dict[int, Box | Exception] = {}
        for pool, slots, search in searches:
            answers |= {slots[row]: answer for row, answer in pool.follow(search).items()}
        return answers

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        if slot in self._places:
            pool, row = self._places.pop(slot)
            del pool.poses[row]
            if not pool.poses:
                self._pools.remove(pool)

    @torch.inference_mode()
    def _learn(self, slot: int, start: Start) -> None:
        self.release(slot)
        side = start.pose.region.side
        pool = next((p for p in self._pools if p.side == side and p.free is not None), None)
        if pool is None:
            pool = Pool(self._extractor, side, min(self.slots, MOST), self._learning)
            self._pools.append(pool)
        row = pool.free
        assert row is not None
        pool.start(row, start)
        self._places[slot] = pool, row
