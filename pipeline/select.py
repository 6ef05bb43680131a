"""Stage 3, select: which trajectories are positive at which β, and which windows are cut from their videos.

A trajectory is positive at β when its overlap is above β, strictly, on every frame t >= 1 (paper, Sections 3.1 and
4.1). A video is positive for a pool when at least one of the pool's teachers is. The windows of a video are a function
of its name, its length and the seed, so they are the same for every pool and β, as Table 1's |D| suggests
(docs/deviations.md).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from pydantic import ValidationError

from datasets.command_line import counted, run_only_command
from datasets.errors import DataError
from pipeline import places
from pipeline.columns import Column, Form, read_columns, write_columns
from pipeline.index import Index
from pipeline.params import SelectParams, read_params
from pipeline.trajectories import Status, Trajectories

FORM = Form(
    "selection",
    {
        "positive": Column("uint8", ("betas", "videos", "teachers")),
        "changed_by_absent": Column("int64", ("betas",)),
        "windows/video": Column("int64", ("windows",)),
        "windows/start": Column("int64", ("windows",)),
    },
    facts={"dataset": (str,), "teachers": (list,), "params": (dict,)},
    rows={},
    numbers={"windows/video": "videos"},
)
"""What the selection file holds."""


@dataclass(frozen=True, eq=False)
class Selection:
    """What every later stage needs to know of the trajectories' fate.

    Attributes:
        dataset: Fingerprint of the index.
        teachers: K names, in the order of params.yaml.
        betas: B thresholds, rising.
        params: The parameters that were used.
        positive: bool (B, V, K): the teacher's trajectory of the video is positive at β.
        changed_by_absent: int64 (B,): videos whose positivity (by any teacher) the other reading of
            `select.absent` would turn.
        window_video: int64 (M,): video number of each window, for every video positive at the smallest β.
        window_start: int64 (M,): its first frame.
    """

    dataset: str
    teachers: list[str]
    betas: tuple[float, ...]
    params: SelectParams
    positive: NDArray[np.bool_]
    changed_by_absent: NDArray[np.int64]
    window_video: NDArray[np.int64]
    window_start: NDArray[np.int64]

    def videos(self, beta: int, teacher: int | None = None) -> NDArray[np.bool_]:
        """Which videos are positive at the β with this number for one teacher, or for any of them; bool (V,)."""
        positive = self.positive[beta]
        kept: NDArray[np.bool_] = positive.any(axis=1) if teacher is None else positive[:, teacher]
        return kept

    def write(self, path: Path) -> None:
        """Write the selection file."""
        columns: dict[str, NDArray[Any]] = {
            "positive": self.positive.astype(np.uint8),
            "changed_by_absent": self.changed_by_absent,
            "windows/video": self.window_video,
            "windows/start": self.window_start,
        }
        facts = {"dataset": self.dataset, "teachers": self.teachers, "params": self.params.model_dump()}
        write_columns(path, FORM.kind, columns, facts)

    @classmethod
    def read(cls, path: Path = places.SELECTION) -> Selection:
        """Read the selection file.

        Raises:
            DataError: If it is missing or damaged.
        """
        columns, facts = read_columns(path, FORM, "select")
        try:
            params = SelectParams.model_validate(facts["params"])
        except ValidationError as error:
            problem = f"its parameters are none: {' '.join(str(error).split())}"
            raise DataError(path, problem, places.made_by("dvc repro select")) from error
        positive = columns["positive"].astype(np.bool_)
        if positive.shape[::2] != (len(params.betas), len(facts["teachers"])):
            told = f"{len(params.betas)} β and {counted(len(facts['teachers']), 'teacher')}"
            problem = f"column positive has shape {positive.shape}, for {told}"
            raise DataError(path, problem, places.made_by("dvc repro select"))
        return cls(
            dataset=facts["dataset"],
            teachers=facts["teachers"],
            betas=params.betas,
            params=params,
            positive=positive,
            changed_by_absent=columns["changed_by_absent"],
            window_video=columns["windows/video"],
            window_start=columns["windows/start"],
        )


def select(index: Index, trajectories: Mapping[str, Trajectories], params: SelectParams) -> Selection:
    """Apply β and cut windows."""
    ignore = params.absent == "ignore"
    positive = _positive(index, trajectories, params.betas, ignore=ignore)
    other = _positive(index, trajectories, params.betas, ignore=not ignore)
    kept = np.flatnonzero(positive[0].any(axis=1))
    starts = [window_starts(index.names[v], int(index.lengths[v]), params) for v in kept]
    return Selection(
        dataset=index.fingerprint,
        teachers=list(trajectories),
        betas=params.betas,
        params=params,
        positive=positive,
        changed_by_absent=(positive.any(axis=2) != other.any(axis=2)).sum(axis=1),
        window_video=np.repeat(kept, [len(s) for s in starts]).astype(np.int64),
        window_start=np.concatenate([*starts, np.empty(0, np.int64)]),
    )


def _positive(
    index: Index, trajectories: Mapping[str, Trajectories], betas: tuple[float, ...], *, ignore: bool
) -> NDArray[np.bool_]:
    """Which trajectories are positive at which β, bool (B, V, K); absent frames fail them, or are ignored."""
    lowest = np.stack([lowest_overlap(index, t, ignore=ignore) for t in trajectories.values()], axis=1)
    positive: NDArray[np.bool_] = lowest[None] > np.array(betas)[:, None, None]
    return positive


def lowest_overlap(index: Index, trajectories: Trajectories, *, ignore: bool) -> NDArray[np.float64]:
    """The smallest overlap of each completed trajectory over the frames t >= 1, float64 (V,).

    A trajectory that did not complete, or of which no frame counts, gets -1: "all of nothing" keeps nobody.

    Args:
        index: The videos.
        trajectories: One teacher's.
        ignore: Leave out the frames where the target is absent; otherwise those count as overlap 0.
    """
    completed = trajectories.status == Status.COMPLETED
    lowest = np.full(len(index), -1.0)
    if not completed.any():
        return lowest
    # Only completed trajectories have as many rows as their videos have frames.
    lengths = np.diff(trajectories.offset)
    rows = np.repeat(completed, lengths)
    overlap = np.where(
        np.arange(len(rows)) == np.repeat(trajectories.offset[:-1], lengths), np.inf, trajectories.overlap
    )
    overlap = overlap[rows]
    absent = index.absent[np.repeat(completed, index.lengths)]
    overlap = np.where(absent & (overlap < np.inf), np.inf if ignore else 0.0, overlap)
    starts = np.concatenate([[0], np.cumsum(lengths[completed])[:-1]]).astype(np.int64)
    smallest = np.minimum.reduceat(overlap, starts)
    lowest[completed] = np.where(np.isinf(smallest), -1.0, smallest)
    return lowest


def window_starts(name: str, length: int, params: SelectParams) -> NDArray[np.int64]:
    """First frames of a video's windows, rising, int64 (n,) with n at most `windows_per_video`.

    Candidates are 0, stride, 2 stride, ... up to length - window_length; all of them where they are few, otherwise
    that many of them at random, drawn from the video's name and the seed alone.
    """
    candidates = np.arange(0, length - params.window_length + 1, params.window_stride, dtype=np.int64)
    if len(candidates) <= params.windows_per_video:
        return candidates
    # Ordering by a hash, and not NumPy's generators: their streams may change between versions of NumPy.
    drawn = sorted(candidates, key=lambda start: blake3(f"{params.seed}/{name}/{start}".encode()).digest(8))
    return np.sort(np.array(drawn[: params.windows_per_video], np.int64))


def read_selection(index: Index) -> Selection:
    """The selection that the stage left.

    Raises:
        DataError: If it is missing, damaged, or of other videos.
    """
    selection = Selection.read()
    if selection.dataset != index.fingerprint or selection.positive.shape[1] != len(index):
        raise DataError(places.SELECTION, "this selection is of another index", "Run `dvc repro`")
    return selection


def refuse_outdated(selection: Selection, index: Index, trajectories: Mapping[str, Trajectories]) -> None:
    """See that a selection is of these trajectories: of others, its windows would hold boxes of other frames.

    Raises:
        DataError: If a teacher was tracked with another outcome since.
    """
    ignore = selection.params.absent == "ignore"
    positive = _positive(index, trajectories, selection.betas, ignore=ignore)
    changed = np.flatnonzero((positive != selection.positive).any(axis=(0, 1)))
    if len(changed):
        name = selection.teachers[changed[0]]
        problem = f"this selection is of other trajectories of {name} than {places.trajectories(name)}"
        raise DataError(places.SELECTION, problem, "Run `dvc repro`")


def refuse_stopped(trajectories: Mapping[str, Trajectories], lowest: float) -> None:
    """See that the teachers were not stopped above the lowest β asked for, where more of their videos would count.

    Raises:
        ValueError: If one was.
    """
    for name, trajectory in trajectories.items():
        stop = trajectory.stop_below
        if stop is not None and lowest < stop:
            raise ValueError(
                f"β = {lowest:g} is too low: {name} stopped at {stop:g} (track.stop_below). Ask for more, or lower "
                "track.stop_below and run `dvc repro`."
            )


def read_trajectories(teachers: list[str], index: Index) -> dict[str, Trajectories]:
    """The trajectories of these teachers, in this order."""
    return {name: Trajectories.read(places.trajectories(name), index.fingerprint) for name in teachers}


@dataclass(frozen=True)
class Command:
    """Keep the trajectories above each β and cut windows from their videos.

    Example:
        python -m pipeline.select
    """

    params: Path = places.PARAMS
    """The parameters."""

    out: Path = places.SELECTION
    """The selection to write."""

    def run(self) -> int:
        """Write the selection and say how many videos and windows it has."""
        params = read_params(self.params)
        index = Index.read()
        trajectories = read_trajectories(list(params.teachers), index)
        refuse_stopped(trajectories, params.select.betas[0])
        selection = select(index, trajectories, params.select)
        selection.write(self.out)
        kept = [int(selection.videos(b).sum()) for b in range(len(selection.betas))]
        counts = ", ".join(f"{n} at β = {beta:g}" for n, beta in zip(kept, selection.betas, strict=True))
        windows = counted(len(selection.window_start), "window")
        print(f"{self.out}: of {counted(len(index), 'video')} {counts}; {windows}")
        length, longest = params.select.window_length, int(index.lengths.max(initial=0))
        if longest < length:
            told = (
                f"no video has a window: select.window_length is {length}, the longest has {longest} frames"
            )
            print(told, file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.select"))
