"""Up to sixteen targets whose search regions have the same side, hence series of the same size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from teachers.base import Box, Image, TeacherError
from teachers.eco.deep.beginning import Start, beginnings
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.pose import Pose
from teachers.eco.deep.region import KINDS
from teachers.eco.deep.together.filters import Filters
from teachers.eco.deep.together.resize import resized
from teachers.eco.deep.together.series import Rows
from teachers.eco.deep.transform import sampling_of


class Pool:
    """Targets in rows, which are searched in one network call and learn in the same operations.

    Args:
        extractor: The network; the pool lies where it does.
        side: Side of the search regions.
        count: Rows.

    Attributes:
        side: Side of the search regions.
        poses: The targets' places, by row.
    """

    def __init__(self, extractor: Extractor, side: int, count: int) -> None:
        self.side = side
        self.poses: dict[int, Pose] = {}
        self._extractor, self._count = extractor, count
        self._device = extractor.device
        self._filters = [Filters(kind, side, count, self._device) for kind in KINDS]
        self._sampling = sampling_of(max(own.n for own in self._filters), side, str(self._device))

    @property
    def free(self) -> int | None:
        """The first free row, if there is one."""
        return next((row for row in range(self._count) if row not in self.poses), None)

    def start(self, row: int, start: Start) -> None:
        """Learn a target in a free row."""
        for own, beginning in zip(self._filters, beginnings(self._extractor, start), strict=True):
            own.start(row, start.pose.region, beginning)
        self.poses[row] = start.pose

    def step(self, images: Mapping[int, Image]) -> dict[int, Box | Exception]:
        """Find the targets of some rows in their next frames and learn from these."""
        rows = Rows(list(images), self._device)
        squares = [self.poses[row].squares() for row in rows.numbers]
        maps = self._extractor(resized(list(images.values()), squares, self.side, self._device))
        samples = [own.samples(rows, m) for own, m in zip(self._filters, maps, strict=True)]
        answers: dict[int, Box | Exception] = {}
        found: list[tuple[int, int, tuple[float, float]]] = []
        for number, (score, peak) in enumerate(self._peaks(rows, samples)):
            row = rows.numbers[number]
            try:
                best, moved = self.poses[row].follow(score, int(peak), images[row])
            except TeacherError as error:
                answers[row] = error
                continue
            found.append((number, best, moved))
            answers[row] = self.poses[row].target.box
        if found:
            self._learn(rows, samples, found)
        return answers

    def _peaks(self, rows: Rows, samples: Sequence[Tensor]) -> list[list[float]]:
        """For each row the highest response, and its place among all scales, columns and rows."""
        total: Tensor | None = None
        for own, sample in zip(self._filters, samples, strict=True):
            response = own.kind.share * own.responses(rows, sample)
            grid = response.view(*response.shape[:2], -1, own.n)
            if total is None:
                total = grid
            else:
                begin = (self._sampling.n - own.n) // 2
                total[:, :, : own.n // 2 + 1, begin : begin + own.n] += grid
        assert total is not None
        planes = torch.view_as_real(total.flatten(2)).flatten(0, 1).mT.contiguous()
        values = self._sampling(planes).reshape(len(rows.numbers), -1)
        scores, peaks = values.max(dim=1)
        # Both at once: each transfer waits for the device. A place is far below 2^53.
        return torch.stack([scores.double(), peaks.double()], dim=1).tolist()

    def _learn(
        self,
        rows: Rows,
        samples: Sequence[Tensor],
        found: Sequence[tuple[int, int, tuple[float, float]]],
    ) -> None:
        """Remember samples (number of the row, scale, move), and learn from them where it is time to."""
        numbers, scales, moves = zip(*found, strict=True)
        used = Rows([rows.numbers[number] for number in numbers], self._device)
        turn = [place for place, row in enumerate(used.numbers) if self.poses[row].learns]
        learning = Rows([used.numbers[place] for place in turn], self._device) if turn else None
        for own, sample in zip(self._filters, samples, strict=True):
            latest = own.remember(used, sample[list(numbers), list(scales)], moves)
            if learning is not None:
                own.learn(learning, latest[turn])
