"""Folders with runs of VOT's supervised experiment, the VOT toolkit's own or ours, scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from datasets.errors import DataError
from datasets.folder_dataset import contents, existing_folder
from datasets.results import MissingResultError
from datasets.video import VideoDataset
from trainer.evaluate.regions import read_polygons
from trainer.evaluate.supervised import read_run, run_file
from trainer.evaluate.truth import image_size
from trainer.evaluate.vot_scores import SequenceScore, VotScores, score_sequence


def vot_trackers(folder: Path) -> list[str]:
    """All trackers with runs below a folder.

    Raises:
        DataError: If there is none.
    """
    remedy = "Give the folder that holds <tracker>/baseline/<sequence>/<sequence>_001.txt"
    names = sorted(p.parent.name for p in existing_folder(folder, remedy).glob("*/baseline") if p.is_dir())
    if not names:
        raise DataError(folder, f"there are no runs of the supervised experiment; {contents(folder)}", remedy)
    return names


def score_vot_folder(
    folder: Path,
    tracker: str,
    dataset: VideoDataset,
    interval: tuple[int, int],
    missing: Literal["refuse", "omit"] = "refuse",
) -> VotScores:
    """Score a tracker's runs, all repetitions.

    Args:
        folder: The folder that holds <tracker>/baseline.
        tracker: The tracker.
        dataset: VOT's sequences.
        interval: The sequence lengths that EAO averages over.
        missing: Refuse, or omit sequences without a run.

    Raises:
        DataError: If a run is missing or not what it has to be.
    """
    scores: list[SequenceScore] = []
    holes: list[str] = []
    for name in dataset.names:
        files = _repetitions(folder, tracker, name)
        if not files:
            holes.append(name)
            continue
        video = dataset[name]
        truth = read_polygons(dataset.root / name / "groundtruth.txt", len(video))
        runs = [read_run(file, len(truth)) for file in files]
        scores.append(score_sequence(name, runs, truth, image_size(video.frames[0])))
    if (holes and missing == "refuse") or not scores:
        shown = ", ".join(holes[:5]) + (f" and {len(holes) - 5} more" if len(holes) > 5 else "")
        problem = f"{tracker} has no run for {len(holes)} of {len(dataset.names)} sequences: {shown}"
        remedy = "Run the tracker on them, or leave them out (--missing omit)"
        raise MissingResultError(folder / tracker / "baseline", problem, remedy)
    return VotScores(tracker, dataset.spec, scores, interval)


def _repetitions(folder: Path, tracker: str, sequence: str) -> Sequence[Path]:
    first = run_file(folder, tracker, sequence)
    if not first.is_file() and first.with_suffix(".bin").is_file():
        remedy = (
            "Run the VOT toolkit with VOT_RESULTS_BINARY=0, so that it writes text, or let it score its runs"
        )
        raise DataError(first.with_suffix(".bin"), "this is the VOT toolkit's binary form", remedy)
    return sorted(first.parent.glob(f"{sequence}_[0-9][0-9][0-9].txt")) if first.is_file() else []
