"""Stage 5, stats: Table 1 of these videos and teachers, with the paper's beside it.

Works on what `dvc repro` made, or on result folders without any pipeline run.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import ValidationError

from datasets.command_line import counted, run_only_command
from datasets.errors import DataError
from pipeline import formats, places
from pipeline.index import Index
from pipeline.paper import NETWORKS, RULE
from pipeline.params import SelectParams, complaints
from pipeline.select import (
    Selection,
    read_selection,
    read_trajectories,
    refuse_outdated,
    refuse_stopped,
    select,
)
from pipeline.table1 import Cell, table1
from pipeline.trajectories import Status, Trajectories

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN_FAILURES = 10
"""Failed videos named on stderr, per teacher."""


@dataclass(frozen=True, eq=False)
class Pool:
    """What statistics are made of: videos, teachers' trajectories, and which of them are positive."""

    index: Index
    trajectories: Mapping[str, Trajectories]
    selection: Selection

    @property
    def failed(self) -> dict[str, list[str]]:
        """Per teacher, the messages of its failed trajectories, in the videos' order."""
        return {
            name: [t.errors[v] for v in np.flatnonzero(t.status == Status.FAILED)]
            for name, t in self.trajectories.items()
        }

    def table1(self) -> list[Cell]:
        """Table 1."""
        return table1(self.index, self.trajectories, self.selection)


def tracked_pool(
    betas: Sequence[float] | None = None, absent: str | None = None, teachers: Sequence[str] | None = None
) -> Pool:
    """What `dvc repro` made, selected as params.yaml says, or otherwise where an argument says otherwise.

    Args:
        betas: Other thresholds than `select.betas`.
        absent: Another reading of absent frames than `select.absent`.
        teachers: Some of the teachers, which then are the pool.

    Raises:
        DataError: If the stages have not run, or one of them not since what it uses changed, or there is no such
            teacher.
        ValueError: If a β is below what the teachers were tracked for.
    """
    index = Index.read()
    selection = read_selection(index)
    unknown = [name for name in teachers or [] if name not in selection.teachers]
    if unknown:
        problem = f"there is no teacher {unknown[0]!r} among {', '.join(selection.teachers)}"
        raise DataError(
            places.SELECTION, problem, "Name teachers of params.yaml, and run `dvc repro` after adding one"
        )
    trajectories = read_trajectories(list(teachers or selection.teachers), index)
    if betas is None and absent is None and teachers is None:
        refuse_outdated(selection, index, trajectories)
        return Pool(index, trajectories, selection)
    wanted = wanted_params(selection.params, betas, absent)
    refuse_stopped(trajectories, wanted.betas[0])
    return Pool(index, trajectories, select(index, trajectories, wanted))


def recorded_pool(
    dataset: str,
    results: Path,
    teachers: Sequence[str] | None = None,
    betas: Sequence[float] | None = None,
    absent: str | None = None,
    exclude: Path | None = None,
    base: int | None = None,
) -> Pool:
    """Result folders instead of a pipeline run; see `pipeline.results_pool.read_results`."""
    from pipeline.results_pool import read_results

    wanted = wanted_params(SelectParams.model_validate({}), betas, absent)
    index, trajectories = read_results(dataset, results, teachers, exclude, base)
    return Pool(index, trajectories, select(index, trajectories, wanted))


def wanted_params(params: SelectParams, betas: Sequence[float] | None, absent: str | None) -> SelectParams:
    """The parameters of `select` with other thresholds, in any order, or another reading of absent frames.

    Raises:
        ValueError: If a β is not in [0, 1), or two of them are written alike.
    """
    for beta in betas or []:
        if not 0 <= beta < 1:
            raise ValueError(f"β = {beta:g}: an overlap threshold is at least 0 and below 1")
    changes = {"betas": sorted(set(betas)) if betas else params.betas, "absent": absent or params.absent}
    try:
        return SelectParams.model_validate(params.model_dump() | changes)
    except ValidationError as error:
        raise ValueError(complaints(error)) from error


@dataclass(frozen=True)
class Command:
    """Table 1: positive trajectories, average overlap and windows per teacher and β, and for their pool.

    Example:
        python -m pipeline.stats --paper

    On result folders, without any pipeline run:
        python -m pipeline.stats --dataset otb:/data/OTB100 --results /results/OTB100 --teachers KCF ECO
    """

    betas: tuple[float, ...] | None = None
    """Other thresholds than params.yaml's, from track.stop_below on."""

    format: Literal["table", "csv", "json", "markdown", "latex"] = "table"
    """What to print. json: a list of {"pool", "beta", "trajectories", "ao", "windows"}."""

    paper: bool = False
    """Put the paper's numbers beside these."""

    dataset: str | None = None
    """KIND:ROOT[:SPLIT] of the videos that the results are of."""

    results: Path | None = None
    """A results folder as the GOT-10k toolkit, OTB, pysot or pytracking write it."""

    teachers: tuple[str, ...] | None = None
    """The pool: trackers in the results folder, or some of params.yaml's teachers. All if left out."""

    base: Literal[0, 1] | None = None
    """With --results: what their files call the first pixel, where that is not what the dataset's own files call it."""

    absent: Literal["fail", "ignore"] | None = None
    """Whether a frame without the target fails a trajectory or does not count; params.yaml's if left out."""

    exclude: Path | None = None
    """With --dataset: a text file of video names to leave out, one per line."""

    write: bool = False
    """Write report/table1.csv, metrics.json and the tables of the plots, as the stage `stats` does."""

    def run(self) -> int:
        """Print Table 1, and on stderr what a reader of it has to know."""
        pool = self._pool()
        cells = pool.table1()
        if self.write:
            from pipeline.tables import write_tables

            for path in write_tables(places.REPORT, pool.index, pool.trajectories, pool.selection, cells):
                print(f"{path} written", file=sys.stderr)
        if self.format == "table":
            terminal = sys.stdout.isatty()
            width = min(shutil.get_terminal_size().columns, formats.WIDTH) if terminal else formats.WIDTH
            print(formats.as_table(cells, paper=self.paper, width=width, colour=terminal))
            print("\n".join(remarks(pool, paper=self.paper)))
        else:
            print(formats.FORMATS[self.format](cells, paper=self.paper), end="")
        report_failures(pool)
        return 0

    def _pool(self) -> Pool:
        if (self.dataset is None) != (self.results is None):
            raise ValueError(
                "--dataset and --results belong together: the videos, and what trackers did on them"
            )
        changed = self.betas is not None or self.absent is not None or self.teachers is not None
        if self.write and (self.dataset is not None or changed):
            raise ValueError("--write keeps the statistics of params.yaml: leave the other options out")
        if self.dataset is None or self.results is None:
            if self.exclude is not None:
                raise ValueError(
                    "--exclude goes with --dataset; for the pipeline, set dataset.exclude in params.yaml"
                )
            if self.base is not None:
                raise ValueError(
                    "--base goes with --results; for the pipeline, it is an option of a recorded teacher"
                )
            return tracked_pool(self.betas, self.absent, self.teachers)
        return recorded_pool(
            self.dataset, self.results, self.teachers, self.betas, self.absent, self.exclude, self.base
        )


def remarks(pool: Pool, *, paper: bool) -> list[str]:
    """What stands below the table: videos, the reading of absent frames and what it changes, failures."""
    index, selection = pool.index, pool.selection
    other = "ignored" if selection.params.absent == "fail" else "failing"
    pairs = zip(selection.betas, selection.changed_by_absent.tolist(), strict=True)
    changed = ", ".join(f"{beta:g}: {videos}" for beta, videos in pairs)
    failed = ", ".join(f"{name} {len(messages)}" for name, messages in pool.failed.items())
    lines = [
        f"{counted(len(index), 'video')}, {counted(len(index.absent), 'frame')}, "
        f"{int(index.absent.sum()):,} without target.",
        f"Absent frames: {selection.params.absent}. Videos that change if {other}, by β: {changed}.",
        f"Failed trajectories: {failed}.",
    ]
    if paper:
        lines.append(f"paper: {RULE}.")
        if {"mdnet", "siamrpn"} & set(pool.trajectories):
            lines.append(f"Its networks: {NETWORKS}.")
    return lines


def report_failures(pool: Pool) -> None:
    """Name the failed trajectories on stderr."""
    for name, messages in pool.failed.items():
        if not messages:
            continue
        print(f"{name}: {len(messages)} of {len(pool.index)} trajectories failed", file=sys.stderr)
        for message in messages[:SHOWN_FAILURES]:
            print(f"  {message}", file=sys.stderr)
        if len(messages) > SHOWN_FAILURES:
            print(f"  and {len(messages) - SHOWN_FAILURES} more", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.stats"))
