"""Result folders as `trainer.evaluate.scores` wants them, whoever wrote them: complete, or refused in one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes, is_valid
from datasets.command_line import counted
from datasets.errors import DataError
from datasets.results import MissingResultError, ResultLengthError, ResultsFolder
from datasets.rows import first_row_columns, parse_rows, read_bytes
from trainer.evaluate.scores import Scores, score
from trainer.evaluate.truth import Truth

SHOWN = 5
"""Faults that one message names; the others are counted."""

MAX_REPETITIONS = 999


@dataclass(frozen=True)
class Leniency:
    """What is done about results that do not match the dataset.

    Attributes:
        missing: Refuse, or omit the videos that a tracker has no result for.
        unequal: Refuse results of another length than the video; `cut` the longer of the two at its end, as the
            GOT-10k toolkit does with a warning; `cut-start`: at its start (OTB's own runs on Tiger1 begin at frame
            6, so that published results have 349 rows for 354 frames); or omit such videos.
    """

    missing: Literal["refuse", "omit"] = "refuse"
    unequal: Literal["refuse", "cut", "cut-start", "omit"] = "refuse"


def score_folder(
    folder: ResultsFolder, tracker: str, truth: Truth, leniency: Leniency
) -> tuple[Scores, list[str]]:
    """Score one tracker of a results folder, all its repetitions.

    Returns:
        The scores, and what leniency did to them, a sentence per video.

    Raises:
        DataError: If a result is missing, short, long or not a table of boxes and leniency does not cover it; the
            message names the files, rows and what to do.
    """
    lengths = truth.lengths.tolist()
    repetitions = max(folder.repetitions(tracker, name) for name in truth.names)
    found = [
        folder.read_all(tracker, truth.names, lengths, repetition)
        for repetition in range(1, max(min(repetitions, MAX_REPETITIONS), 1) + 1)
    ]
    truth, runs, notes = _settled(folder, tracker, truth, found, leniency)
    if wrong := _without_box(truth, runs):
        notes.append(
            f"{tracker}: no box (NaN, or without area) in {counted(wrong, 'frame')}, which overlap by 0"
        )
    return score(tracker, truth, runs, _speeds(folder, tracker, truth)), notes


def _without_box(truth: Truth, runs: Sequence[Sequence[Boxes]]) -> int:
    """Frames after the first that count and in which a tracker gave no box, over all repetitions."""
    starts = (np.cumsum(truth.lengths) - truth.lengths).tolist()
    every = (
        (boxes, truth.counted[start : start + len(boxes)])
        for run in runs
        for boxes, start in zip(run, starts, strict=True)
    )
    return sum(int((~is_valid(boxes) & counts)[1:].sum()) for boxes, counts in every)


def _settled(
    folder: ResultsFolder,
    tracker: str,
    truth: Truth,
    found: Sequence[Sequence[Boxes | DataError]],
    leniency: Leniency,
) -> tuple[Truth, list[Sequence[Boxes]], list[str]]:
    """The ground truth and the boxes of each repetition that are compared, after leniency.

    A repetition after the first that a video does not have, or that is omitted, has no boxes there.
    """
    faults: list[tuple[str, DataError]] = []
    notes: list[str] = []
    boxes: dict[int, list[Boxes]] = {}
    for v, name in enumerate(truth.names):
        runs: list[Boxes] = []
        for repetition, results in enumerate(found, 1):
            result = results[v]
            again = "" if repetition == 1 else f", repetition {repetition}"
            if not isinstance(result, DataError):
                runs.append(result)
                continue
            if isinstance(result, MissingResultError):
                if again:
                    runs.append(np.empty((0, 4), np.float32))
                    continue
                if leniency.missing == "omit":
                    notes.append(f"{tracker} has no result for {name}: left out")
                    break
            elif isinstance(result, ResultLengthError) and leniency.unequal != "refuse":
                rows = f"{tracker} on {name}{again}: {result.found} rows for {result.expected} frames"
                if leniency.unequal != "omit":
                    runs.append(folder.read(tracker, name, repetition=repetition))
                    whom = "both" if len(found) == 1 else "the ground truth and all repetitions"
                    notes.append(f"{rows}: {whom} cut")
                    continue
                notes.append(f"{rows}: left out")
                if again:
                    runs.append(np.empty((0, 4), np.float32))
                    continue
                break
            faults.append((name + again, result))
            if not again:
                break
        else:
            boxes[v] = runs
    if faults:
        raise _refusal(folder, tracker, truth, faults)
    if not boxes:
        raise DataError(folder.root, f"{tracker} has no result for any video", "Give another folder")
    return (*_kept(truth, boxes, at_start=leniency.unequal == "cut-start"), notes)


def _kept(
    truth: Truth, boxes: dict[int, list[Boxes]], *, at_start: bool
) -> tuple[Truth, list[Sequence[Boxes]]]:
    """The videos of `boxes`, each cut to the shortest of truth and results, at the start or at the end."""
    starts = (np.cumsum(truth.lengths) - truth.lengths).tolist()
    lengths = {v: min(int(truth.lengths[v]), *(len(b) or 2**63 for b in runs)) for v, runs in boxes.items()}
    cut = [
        [run[len(run) - n if at_start else 0 :][:n] if len(run) else run for run in boxes[v]]
        for v, n in lengths.items()
    ]
    each = [list(run) for run in zip(*cut, strict=True)]
    if len(boxes) == len(truth.names) and all(truth.lengths[v] == n for v, n in lengths.items()):
        return truth, list(each)
    skipped = {v: int(truth.lengths[v]) - n if at_start else 0 for v, n in lengths.items()}
    rows = np.concatenate([starts[v] + skipped[v] + np.arange(n) for v, n in lengths.items()])
    kept = replace(
        truth,
        names=tuple(truth.names[v] for v in boxes),
        lengths=np.array(list(lengths.values()), np.int64),
        boxes=truth.boxes[rows],
        counted=truth.counted[rows],
        sizes=None if truth.sizes is None else truth.sizes[list(boxes)],
    )
    return kept, list(each)


def _refusal(
    folder: ResultsFolder, tracker: str, truth: Truth, faults: Sequence[tuple[str, DataError]]
) -> DataError:
    """One error for all faults: the first itself, the others by name."""
    missing = sum(isinstance(error, MissingResultError) for _, error in faults)
    unequal = sum(isinstance(error, ResultLengthError) for _, error in faults)
    first = faults[0][1]
    ways = ["--missing omit"] * (missing > 0) + ["--unequal cut, cut-start or omit"] * (unequal > 0)
    remedy = first.remedy + (f" ({', '.join(ways)} on the command line)" if ways else "")
    if len(faults) == 1:
        return DataError(first.path, first.problem, remedy, first.row)
    counts = [
        (missing, "missing"),
        (unequal, "of another length"),
        (len(faults) - missing - unequal, "unreadable"),
    ]
    what = ", ".join(f"{n} {kind}" for n, kind in counts if n)
    listed = "; ".join(f"{_place(name, error)}: {error.problem}" for name, error in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    problem = (
        f"{len(faults)} of {len(truth.names)} results of {tracker} cannot be scored ({what}): {listed}{more}"
    )
    return DataError(folder.root, problem, remedy)


def _place(video: str, error: DataError) -> str:
    """The video, and where in its file the fault is."""
    return video if error.row is None else f"{video} ({error.path.name}, line {error.row})"


def _speeds(folder: ResultsFolder, tracker: str, truth: Truth) -> NDArray[np.float64]:
    """Frames per second of each video, frames over seconds; NaN without a file of times."""
    return np.array([_speed(folder.file(tracker, name), name) for name in truth.names])


def _speed(boxes: Path, name: str) -> float:
    """Toolkits write seconds per frame, a column per repetition, NaN or 0 where nothing was measured."""
    stem = boxes.stem[:-4] if boxes.stem == f"{name}_001" else boxes.stem
    for path in (boxes.parent / f"{stem}_time.txt", boxes.parent / "times" / f"{stem}_time.txt"):
        if path.is_file():
            data = read_bytes(path)
            seconds = parse_rows(
                data,
                path,
                max(first_row_columns(data), 1),
                remedy="Write seconds per frame, or delete the file",
            )
            measured = seconds[seconds > 0].astype(np.float64)
            return len(measured) / float(measured.sum()) if len(measured) else float("nan")
    return float("nan")
