"""Up to sixteen targets whose search regions have the same side, hence series of the same size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from teachers.base import Box, Image, TeacherError
from teachers.eco.deep.beginning import Start, beginnings
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.pose import Pose
from teachers.eco.deep.region import KINDS
from teachers.eco.deep.together.filters import Filters
from teachers.eco.deep.together.joint import Learning
from teachers.eco.deep.together.resize import resized
from teachers.eco.deep.together.series import Rows
from teachers.eco.deep.transform import sampling_of
from teachers.gpu.upload import fetched


@dataclass(frozen=True)
class Search:
    """What was found in a frame of N rows.

    Attributes:
        rows: The rows.
        images: Their frames.
        samples: Series of all scales, for each kind of features; see `Filters.samples`.
        peaks: The highest response and its place, for `Pose.follow`; float64 (N, 2), one tensor because each transfer
            waits for the device.
    """

    rows: Rows
    images: Sequence[Image]
    samples: Sequence[Tensor]
    peaks: Tensor


class Pool:
    """Targets in rows, which are searched in one network call and learn in the same operations.

    Args:
        extractor: The network; the pool lies where it does.
        side: Side of the search regions.
        count: Rows.
        learning: How a first frame is learned from; pools of one teacher share it.

    Attributes:
        side: Side of the search regions.
        poses: The targets' places, by row.
    """

    def __init__(self, extractor: Extractor, side: int, count: int, learning: Learning) -> None:
        self.side = side
        self.poses: dict[int, Pose] = {}
        self._extractor, self._count = extractor, count
        self._device = extractor.device
        self._filters = [Filters(kind, side, count, self._device, learning) for kind in KINDS]
        self._sampling = sampling_of(self._filters[0].n, side, str(self._device))

    @property
    def free(self) -> int | None:
        """The first free row, if there is one."""
        return next((row for row in range(self._count) if row not in self.poses), None)

    def start(self, row: int, start: Start) -> None:
        """Learn a target in a free row."""
        for own, beginning in zip(self._filters, beginnings(self._extractor, start), strict=True):
            own.start(row, start.pose.region, beginning)
        self.poses[row] = start.pose

    def search(self, images: Mapping[int, Image]) -> Search:
        """Search the targets of some rows in their next frames; on a GPU this returns before it is done."""
        rows = Rows(list(images), self._device)
        squares = [self.poses[row].squares() for row in rows.numbers]
        maps = self._extractor(resized(list(images.values()), squares, self.side, self._device))
        samples = [own.samples(rows, m) for own, m in zip(self._filters, maps, strict=True)]
        return Search(rows, list(images.values()), samples, self._peaks(rows, samples))

    def follow(self, search: Search) -> dict[int, Box | Exception]:
        """Move the targets to where they were found, and learn from there."""
        answers: dict[int, Box | Exception] = {}
        found: list[tuple[int, int, tuple[float, float]]] = []
        for number, (score, peak) in enumerate(fetched(search.peaks).tolist()):
            row = search.rows.numbers[number]
            try:
                best, moved = self.poses[row].follow(score, int(peak), search.images[number])
            except TeacherError as error:
                answers[row] = error
                continue
            found.append((number, best, moved))
            answers[row] = self.poses[row].target.box
        if found:
            self._learn(search, found)
        return answers

    def _peaks(self, rows: Rows, samples: Sequence[Tensor]) -> Tensor:
        """For each row the highest response, and its place among all scales, columns and rows: see `Search`."""
        large, small = self._filters
        total, more = (
            own.responses(rows, sample) for own, sample in zip(self._filters, samples, strict=True)
        )
        grid = total.view(*total.shape[:2], -1, large.n)
        begin = (large.n - small.n) // 2
        grid[:, :, : small.n // 2 + 1, begin : begin + small.n] += more.view(*more.shape[:2], -1, small.n)
        values = self._sampling(torch.view_as_real(total).flatten(0, 1).mT.contiguous())
        scores, peaks = values.reshape(len(rows.numbers), -1).max(dim=1)
        return torch.stack([scores.double(), peaks.double()], dim=1)

    def _learn(self, search: Search, found: Sequence[tuple[int, int, tuple[float, float]]]) -> None:
        """Remember samples (number of the row, scale, move), and learn from them where it is time to."""
        numbers, scales, moves = zip(*found, strict=True)
        used = Rows([search.rows.numbers[number] for number in numbers], self._device)
        turn = [place for place, row in enumerate(used.numbers) if self.poses[row].learns]
        learning = Rows([used.numbers[place] for place in turn], self._device) if turn else None
        for own, samples in zip(self._filters, search.samples, strict=True):
            latest = own.remember(used, samples[list(numbers), list(scales)], moves)
            if learning is not None:
                own.learn(learning, latest[turn])
