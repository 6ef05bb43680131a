"""Trajectories from result folders that other toolkits wrote, for statistics without running the pipeline.

The rules are those of the stage `track` with a `recorded` teacher and no early stop: a result that is
missing, or has another number of rows than its video has frames, or a row that is no box, is a failed trajectory. Of
a tracker that was run several times the first run counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from datasets import open_dataset
from datasets.boxes import Boxes, is_valid, overlap
from datasets.errors import DataError
from datasets.got10k import WITHHELD
from datasets.results import MissingResultError, ResultsFolder
from datasets.spec import parse_spec
from pipeline.index import Index
from pipeline.table1 import POOL
from pipeline.trajectories import Status, Trajectories

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read_results(
    dataset: str,
    results: Path,
    teachers: Sequence[str] | None = None,
    exclude: Path | None = None,
    base: int | None = None,
) -> tuple[Index, dict[str, Trajectories]]:
    """Read annotations and results.

    Args:
        dataset: KIND:ROOT[:SPLIT].
        results: The folder that holds a folder per tracker, as any toolkit wrote it.
        teachers: Trackers in that folder; all of them where left out.
        exclude: A text file of video names to leave out.
        base: What the results' files call the first pixel, 0 or 1; None: what the dataset's files call it.

    Returns:
        The videos, and each teacher's trajectories over them.

    Raises:
        DataError: If the dataset or the folder cannot be read, or has no such tracker.
    """
    videos = list(open_dataset(dataset, exclude))
    if not videos:
        raise DataError(
            parse_spec(dataset).root, "there are no videos", "Check the dataset's root, split and --exclude"
        )
    if all(WITHHELD in video.notes for video in videos):
        remedy = "Name another split or dataset"
        problem = "its ground truth is withheld: nothing can be told of results"
        raise DataError(parse_spec(dataset).root, problem, remedy)
    index = Index.of(dataset, videos)
    folder = ResultsFolder(results, parse_spec(dataset).kind, base)
    lengths = index.lengths.tolist()
    pool = {}
    for name in teachers or folder.trackers:
        if name == POOL:
            raise DataError(
                results / name, f"{POOL!r} is what the pool of all teachers is called", "Rename it"
            )
        found = folder.read_all(name, index.names, lengths)
        if all(isinstance(result, MissingResultError) for result in found):
            problem = f"{name} has a result for none of the {len(index)} videos, such as {index.names[0]}"
            remedy = f"Name the results that trackers had on {dataset}, or --teachers that have some"
            raise DataError(results, problem, remedy)
        pool[name] = _trajectories(name, index, found, folder)
    return index, pool


def _trajectories(
    teacher: str, index: Index, results: Sequence[Boxes | DataError], folder: ResultsFolder
) -> Trajectories:
    """Overlaps of one teacher on all videos at once; a video's error makes it a failed one."""
    errors = [str(result) if isinstance(result, DataError) else "" for result in results]
    found = [result for result in results if not isinstance(result, DataError)]
    boxes = np.concatenate([*found, np.empty((0, 4), np.float32)])
    lengths = np.array(
        [0 if error else length for error, length in zip(errors, index.lengths, strict=True)], np.int64
    )
    offset = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    there = np.repeat(lengths > 0, index.lengths)
    overlaps = overlap(boxes, index.ground_truth[there])
    overlaps[index.absent[there]] = 0.0
    # Row by row from the end, so that each video keeps the message of its first bad row.
    for row in np.flatnonzero(~is_valid(boxes))[::-1]:
        v = int(np.searchsorted(offset, row, side="right")) - 1
        errors[v] = str(folder.no_box(teacher, index.names[v], int(row - offset[v]), boxes[row]))
    status = np.where([bool(error) for error in errors], Status.FAILED, Status.COMPLETED).astype(np.uint8)
    return Trajectories(teacher, index.fingerprint, None, status, errors, offset, boxes, overlaps)
