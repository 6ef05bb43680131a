"""What the plots show, as rows of long tables: survival, overlaps, β, and who is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.select import Selection, select
from pipeline.table1 import POOL, Cell, counted_frames, kept_overlaps, table1
from pipeline.trajectories import Status, Trajectories

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.index import Index

POINTS = 80
"""Frames at which survival is written: more than a plot can show, few enough for git."""

BINS = 40
"""Of the histograms of overlaps, between 0 and 1."""

HIGHEST, STEP = 0.95, 0.01
"""Where the curves over β end (above it, hardly any trajectory of any teacher is left), and between two of their β."""


class Survival(NamedTuple):
    """Share of all videos that are still above β at a frame; a video that ended above β stays counted.

    So the curve never rises, and ends at Table 1's trajectories over videos.
    """

    pool: str
    beta: float
    frame: int
    share: float


class Bin(NamedTuple):
    """Share of a teacher's tracked frames (t >= 1, target present) with an overlap in this bin."""

    pool: str
    overlap: float
    """The middle of the bin."""
    frames: int
    share: float


class Best(NamedTuple):
    """How often a teacher is the best of its video's positive ones, over the frames that count at β."""

    pool: str
    beta: float
    frames: int
    share: float


def survival(index: Index, trajectories: Mapping[str, Trajectories], selection: Selection) -> list[Survival]:
    """How many videos are still above each β at frame t: per teacher, and by any teacher of the pool of all.

    It is told of at most `POINTS` frames, denser where videos are lost, at the beginning.

    Args:
        index: The videos.
        trajectories: The teachers'; those abandoned at a threshold up to the smallest β lose nothing.
        selection: The β and the reading of absent frames.
    """
    longest = int(index.lengths.max(initial=1))
    frames = np.unique(np.rint(np.geomspace(1, longest, POINTS)).astype(np.int64) - 1)
    rows: list[Survival] = []
    together = {beta: np.zeros(len(index), np.int64) for beta in selection.betas}
    for name, trajectory in trajectories.items():
        for beta in selection.betas:
            last = last_above(index, trajectory, beta, ignore=selection.params.absent == "ignore")
            np.maximum(together[beta], last, out=together[beta])
            rows += _shares(name, beta, frames, last)
    for beta, last in together.items():
        rows += _shares(POOL, beta, frames, last)
    return rows


FOREVER = np.iinfo(np.int64).max


def last_above(index: Index, trajectories: Trajectories, beta: float, *, ignore: bool) -> NDArray[np.int64]:
    """The last frame up to which each trajectory is above β on all frames that count, int64 (V,).

    `FOREVER` for a positive trajectory; 0 for one that failed or of which no frame counts.
    """
    lengths = np.diff(trajectories.offset)
    some = np.flatnonzero(lengths)
    last = np.zeros(len(index), np.int64)
    if not len(some):
        return last
    starts = trajectories.offset[some]
    frame = np.arange(len(trajectories.overlap)) - np.repeat(starts, lengths[some])
    absent = index.absent[frame + np.repeat(index.offset[some], lengths[some])]
    counts = (frame > 0) & ~absent if ignore else frame > 0
    low = counts & ((trajectories.overlap <= beta) | absent)
    first = np.minimum.reduceat(np.where(low, frame, FOREVER), starts)
    positive = (first == FOREVER) & np.logical_or.reduceat(counts, starts)
    positive &= trajectories.status[some] == Status.COMPLETED
    last[some] = np.where(positive, FOREVER, np.where(first == FOREVER, 0, first - 1))
    return last


def _shares(pool: str, beta: float, frames: NDArray[np.int64], last: NDArray[np.int64]) -> list[Survival]:
    ordered = np.sort(last)
    above = len(last) - np.searchsorted(ordered, frames, side="left")
    return [Survival(pool, beta, int(t), float(n) / len(last)) for t, n in zip(frames, above, strict=True)]


def overlaps(index: Index, trajectories: Mapping[str, Trajectories]) -> list[Bin]:
    """Histogram of each teacher's overlaps over the frames that it tracked (t >= 1, target present).

    Abandoned videos count up to and with the frame at which they were abandoned.
    """
    rows: list[Bin] = []
    for name, trajectory in trajectories.items():
        lengths = np.diff(trajectory.offset)
        frame = np.arange(len(trajectory.overlap)) - np.repeat(trajectory.offset[:-1], lengths)
        absent = index.absent[frame + np.repeat(index.offset[:-1], lengths)]
        counts, edges = np.histogram(trajectory.overlap[(frame > 0) & ~absent], BINS, (0.0, 1.0))
        total = max(int(counts.sum()), 1)
        middles = (edges[:-1] + edges[1:]) / 2
        rows += [Bin(name, float(m), int(n), float(n) / total) for m, n in zip(middles, counts, strict=True)]
    return rows


def over_betas(index: Index, trajectories: Mapping[str, Trajectories], selection: Selection) -> list[Cell]:
    """Table 1 over a fine grid of β, from the smallest that was asked for to `HIGHEST`."""
    smallest = selection.betas[0]
    grid = {round(smallest + n * STEP, 6) for n in range(int((HIGHEST - smallest) / STEP + 1.5))} | set(
        selection.betas
    )
    betas = tuple(sorted(beta for beta in grid if beta < 1))
    fine = select(index, trajectories, selection.params.model_copy(update={"betas": betas}))
    return table1(index, trajectories, fine)


def best_teachers(index: Index, trajectories: Mapping[str, Trajectories], selection: Selection) -> list[Best]:
    """Who has the best box on the frames of the pool's positive videos (Eq. 4; the first of equals)."""
    kept = selection.videos(0)
    lengths = index.lengths[kept]
    counted = counted_frames(index, selection)[np.repeat(kept, index.lengths)]
    stack = np.stack([kept_overlaps(index, t, selection, k) for k, t in enumerate(trajectories.values())])
    rows = []
    for b, beta in enumerate(selection.betas):
        positive = np.repeat(selection.positive[b, kept], lengths, axis=0).T
        best = np.where(positive, stack, -1.0).argmax(axis=0)[counted & positive.any(axis=0)]
        counts = np.bincount(best, minlength=len(stack))
        total = max(len(best), 1)
        rows += [
            Best(name, beta, int(n), float(n) / total)
            for name, n in zip(selection.teachers, counts, strict=True)
        ]
    return rows
