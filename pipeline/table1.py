"""Table 1 of the paper: how many trajectories, how good, and how many windows, per pool of teachers and β.

A pool is one teacher, or all of them (`POOL`). The average overlap (AO) of a trajectory is its mean over
the frames t >= 1 that count; a teacher's AO at β is the mean over its positive trajectories. In the pool of
all, a frame counts with the best overlap that any positive teacher of its video has there (paper, Eq. 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from datasets.boxes import Overlaps
    from pipeline.index import Index
    from pipeline.select import Selection
    from pipeline.trajectories import Trajectories

POOL = "pool"
"""What the pool of all teachers is called in statistics."""


@dataclass(frozen=True)
class Cell:
    """What Table 1 says of one pool at one β.

    Attributes:
        pool: A teacher's name, or `POOL`.
        beta: The threshold.
        trajectories: Positive trajectories of a teacher; positive videos of the pool of all.
        ao: Their average overlap; 0 where there are none, as the paper prints it.
        windows: Windows that their videos are cut into (the paper's |D|).
    """

    pool: str
    beta: float
    trajectories: int
    ao: float
    windows: int


def table1(index: Index, trajectories: Mapping[str, Trajectories], selection: Selection) -> list[Cell]:
    """Compute Table 1: all β of the first teacher, of the next, and of the pool of all at last.

    Args:
        index: The videos.
        trajectories: The teachers' trajectories, in the selection's order.
        selection: Which of them are positive, and the windows.
    """
    windows = np.bincount(selection.window_video, minlength=len(index))
    single, pooled = average_overlaps(index, trajectories, selection)
    cells = []
    for k, teacher in enumerate(selection.teachers):
        for b, beta in enumerate(selection.betas):
            cells.append(_cell(teacher, beta, selection.positive[b, :, k], single[:, k], windows))
    for b, beta in enumerate(selection.betas):
        cells.append(_cell(POOL, beta, selection.videos(b), pooled[b], windows))
    return cells


def _cell(
    pool: str, beta: float, videos: NDArray[np.bool_], overlap: Overlaps, windows: NDArray[np.int64]
) -> Cell:
    count = int(videos.sum())
    return Cell(
        pool, beta, count, float(overlap[videos].mean()) if count else 0.0, int(windows[videos].sum())
    )


def average_overlaps(
    index: Index, trajectories: Mapping[str, Trajectories], selection: Selection
) -> tuple[Overlaps, Overlaps]:
    """Average overlap of every positive trajectory, and of every positive video of the pool of all.

    Returns:
        float64 (V, K): mean overlap of each trajectory, NaN where it is not positive at the smallest β.
        float64 (B, V): mean over the frames of the best overlap of the teachers positive at that β, NaN where
            none is.
    """
    kept = selection.videos(0)
    lengths = index.lengths[kept]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    counted = counted_frames(index, selection)[np.repeat(kept, index.lengths)]
    frames = _sums(counted.astype(np.float64), starts[:-1])
    overlaps = [kept_overlaps(index, t, selection, k) * counted for k, t in enumerate(trajectories.values())]

    single = np.full((len(index), len(overlaps)), np.nan)
    for k, overlap in enumerate(overlaps):
        means = _sums(overlap, starts[:-1]) / frames
        single[kept, k] = np.where(selection.positive[0, kept, k], means, np.nan)

    # Rising β only removes teachers from a video, so few sets of teachers occur: each is computed once.
    pooled = np.full((len(selection.betas), int(kept.sum())), np.nan)
    positive = selection.positive[:, kept]
    packed = np.packbits(positive, axis=2)
    sets, which = np.unique(packed.reshape(pooled.size, packed.shape[2]), axis=0, return_inverse=True)
    which = which.reshape(pooled.shape)
    for number, bits in enumerate(sets):
        members = np.flatnonzero(np.unpackbits(bits, count=len(overlaps)))
        videos = np.flatnonzero((which == number).any(axis=0))
        if not len(members):
            continue
        rows = _rows(starts, videos)
        best = overlaps[members[0]][rows]
        for k in members[1:]:
            np.maximum(best, overlaps[k][rows], out=best)
        means = np.full(pooled.shape[1], np.nan)
        means[videos] = _sums(best, np.cumsum(lengths[videos]) - lengths[videos]) / frames[videos]
        pooled = np.where(which == number, means, pooled)
    everything = np.full((len(selection.betas), len(index)), np.nan)
    everything[:, kept] = pooled
    return single, everything


def counted_frames(index: Index, selection: Selection) -> NDArray[np.bool_]:
    """Which frames count, bool (N,): those with t >= 1, and the target present where absence is ignored."""
    counted = np.ones(len(index.absent), np.bool_) if selection.params.absent == "fail" else ~index.absent
    counted[index.offset[:-1]] = False
    return counted


def kept_overlaps(index: Index, trajectories: Trajectories, selection: Selection, teacher: int) -> Overlaps:
    """One teacher's overlaps, end to end, on the videos that any teacher keeps at the smallest β.

    Returns:
        float64, one per frame of those videos; 0 on all frames of a video where this teacher is not positive.
    """
    kept = selection.videos(0)
    mine = selection.positive[0, :, teacher]
    overlap = np.zeros(int(index.lengths[kept].sum()))
    overlap[np.repeat(mine[kept], index.lengths[kept])] = trajectories.overlap[
        np.repeat(mine, np.diff(trajectories.offset))
    ]
    return overlap


def _rows(starts: NDArray[np.int64], videos: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of some videos, end to end."""
    lengths = starts[videos + 1] - starts[videos]
    jumps = starts[videos] - np.cumsum(lengths) + lengths
    rows: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(jumps, lengths)
    return rows


def _sums(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of the rows of each video (every video has at least one)."""
    return np.add.reduceat(values, starts) if len(starts) else np.empty(0)
