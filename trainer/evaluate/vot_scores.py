"""Expected average overlap (EAO), accuracy and robustness of VOT's supervised experiment.

Definitions: Kristan et al., The Sixth Visual Object Tracking VOT2018 Challenge Results, Section 2 (VOT2019 likewise);
details that the text leaves open are settled as the VOT toolkit settles them:

- Accuracy: the mean overlap of the tracked frames, without the ten frames that begin with a start (burn-in); the mean
  over sequences is weighted by their lengths.
- Robustness: failures per 100 frames, as VOT2019's tables have it; `failures`: the toolkit's own number, the mean of
  the sequences' failures weighted by their lengths.
- EAO: every run is cut at its failures into fragments. Φ(n) is the mean overlap of the frames 2 ... n of a fragment,
  averaged over fragments: one that ended in a failure counts with zeros after it, one that ended with its sequence
  counts only as far as it goes. EAO is the mean of Φ over the interval of typical sequence lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.regions import Polygon, region_overlap
from trainer.evaluate.supervised import Run, State

BURN_IN = 10
"""Frames from a start on, the start included, that do not count towards accuracy."""

INTERVALS = {"vot2019": (46, 291), "vot2018": (100, 356)}
"""The intervals of the challenges, as the VOT toolkit's stacks define them."""


@dataclass(frozen=True, eq=False)
class Fragment:
    """A run between a start and a failure, or the end of the sequence.

    Attributes:
        overlaps: (n,), the first of them the start's, which counts nowhere.
        failed: Whether it ended in a failure.
    """

    overlaps: NDArray[np.float64]
    failed: bool


@dataclass(frozen=True, eq=False)
class SequenceScore:
    """One tracker on one sequence, averaged over its repetitions.

    Attributes:
        name: The sequence.
        frames: Its length.
        accuracy: Mean overlap after burn-in; 0 where no frame is left.
        failures: Number of failures.
        fragments: Of all repetitions.
        fps: Frames per second, NaN if unknown.
    """

    name: str
    frames: int
    accuracy: float
    failures: float
    fragments: Sequence[Fragment]
    fps: float


def score_sequence(
    name: str, runs: Sequence[Run], truth: Sequence[Polygon], size: tuple[float, float]
) -> SequenceScore:
    """Score all runs of a tracker on one sequence.

    Args:
        name: The sequence.
        runs: At least one.
        truth: The ground truth's regions, T of them.
        size: Width and height of the images.
    """
    accuracies, fragments, speeds = [], [], []
    for run in runs:
        overlaps = np.array(
            [
                0.0 if isinstance(row, State) else region_overlap(row, g, size)
                for row, g in zip(run.rows, truth, strict=True)
            ]
        )
        counted = np.array([not isinstance(row, State) for row in run.rows])
        for start in run.starts:
            counted[start : start + BURN_IN] = False
        accuracies.append(float(overlaps[counted].mean()) if counted.any() else 0.0)
        fragments += _fragments(run, overlaps)
        worked = run.seconds[run.seconds > 0]
        speeds.append(len(worked) / float(worked.sum()) if len(worked) else float("nan"))
    failures = float(np.mean([len(run.failures) for run in runs]))
    return SequenceScore(
        name, len(truth), float(np.mean(accuracies)), failures, fragments, float(np.mean(speeds))
    )


@dataclass(frozen=True, eq=False)
class VotScores:
    """One tracker on one challenge's sequences.

    Attributes:
        tracker: Its name.
        spec: The dataset, as the user named it.
        sequences: Its score on each sequence.
        interval: The sequence lengths, in frames after the first, that EAO averages over, both included.
    """

    tracker: str
    spec: str
    sequences: Sequence[SequenceScore]
    interval: tuple[int, int]

    benchmark = "VOT"
    columns = ("eao", "accuracy", "robustness")

    @property
    def curve(self) -> NDArray[np.float64]:
        """Φ by the frames after the first, 0, 1, 2, ...: see `eao_curve`."""
        return eao_curve([fragment for score in self.sequences for fragment in score.fragments])

    @property
    def values(self) -> dict[str, float]:
        """eao, accuracy, robustness and failures, as the module defines them."""
        frames = np.array([score.frames for score in self.sequences])
        failures = np.array([score.failures for score in self.sequences])
        accuracy = np.array([score.accuracy for score in self.sequences])
        return {
            "eao": eao(self.curve, self.interval),
            "accuracy": float(np.average(accuracy, weights=frames)),
            "robustness": float(100 * failures.sum() / frames.sum()),
            "failures": float(np.average(failures, weights=frames)),
        }

    @property
    def speed(self) -> float:
        """Mean over sequences of frames per second, NaN if unknown."""
        known = [score.fps for score in self.sequences if not np.isnan(score.fps)]
        return float(np.mean(known)) if known else float("nan")

    def record(self) -> dict[str, Any]:
        """What `--format json` prints."""
        frames = sum(score.frames for score in self.sequences)
        return {
            "tracker": self.tracker,
            "dataset": self.spec,
            "sequences": len(self.sequences),
            "frames": frames,
            **self.values,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One record per sequence."""
        return [
            {
                "sequence": s.name,
                "frames": s.frames,
                "accuracy": s.accuracy,
                "failures": s.failures,
                "fps": s.fps,
            }
            for s in self.sequences
        ]


def eao_curve(fragments: Sequence[Fragment]) -> NDArray[np.float64]:
    """Φ by the frames after the first, as long as the longest fragment: `curve[i]` is Φ(i + 1) of the module."""
    longest = max(len(fragment.overlaps) for fragment in fragments)
    total = np.zeros(longest)
    count = np.zeros(longest)
    frames = np.maximum(np.arange(longest), 1)  # of those averaged: the first does not count
    for fragment in fragments:
        padded = np.zeros(longest)
        padded[1 : len(fragment.overlaps)] = fragment.overlaps[1:]
        reach = longest if fragment.failed else len(fragment.overlaps)
        total[:reach] += (np.cumsum(padded) / frames)[:reach]
        count[:reach] += 1
    return total / count


def eao(curve: NDArray[np.float64], interval: tuple[int, int]) -> float:
    """The mean of Φ over an interval of frames after the first; what no fragment reaches is left out.

    Raises:
        ValueError: If no fragment reaches the interval.
    """
    low, high = interval
    if len(curve) <= low:
        raise ValueError(
            f"the longest run has {len(curve)} frames: EAO over {low} to {high} frames cannot be computed. "
            "Give --interval LOW HIGH that suits these sequences"
        )
    return float(curve[low : high + 1].mean())


def _fragments(run: Run, overlaps: NDArray[np.float64]) -> list[Fragment]:
    failures = iter(run.failures)
    found = []
    for start in run.starts:
        end = next(failures, None)
        found.append(Fragment(overlaps[start:end], end is not None))
    return found
