"""From boxes to scores: per video, and averaged as the benchmark does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes
from trainer.evaluate.measures import (
    CENTRE_THRESHOLDS,
    NORMALISED_THRESHOLDS,
    above,
    measured,
    overlap_thresholds,
    within,
)
from trainer.evaluate.protocol import Protocol
from trainer.evaluate.truth import Truth

Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """One tracker on one dataset.

    All arrays have a row per video; it is NaN where none of the video's frames counts.

    Attributes:
        tracker: Its name.
        spec: The dataset, as the user named it.
        protocol: The benchmark's protocol.
        names: The V videos.
        frames: int64 (V,), frames that count, once per repetition.
        ao: Mean overlap, (V,).
        sr50, sr75: Shares of frames with an overlap strictly above 0.50 and 0.75, (V,).
        success: Shares of frames with an overlap strictly above each of the protocol's thresholds, (V, K).
        precision: Shares of frames with a centre error of at most 0, 1, ... 50 px, (V, 51).
        normalised: Shares of frames with a normalised error of at most 0, 0.01, ... 0.5, (V, 51).
        fps: Frames per second of each video, (V,); NaN where no times were recorded.
    """

    tracker: str
    spec: str
    protocol: Protocol
    names: Sequence[str]
    frames: NDArray[np.int64]
    ao: Curve
    sr50: Curve
    sr75: Curve
    success: Curve
    precision: Curve
    normalised: Curve
    fps: Curve

    def mean(self, values: Curve) -> Curve:
        """Average rows (V, ...) as the protocol does; NaN if no frame counts."""
        some = self.frames > 0
        if not some.any():
            return np.full(values.shape[1:], np.nan)
        weights = self.frames[some] if self.protocol.average == "frames" else None
        result: Curve = np.average(values[some], axis=0, weights=weights)
        return result

    @property
    def benchmark(self) -> str:
        """The benchmark's name."""
        return self.protocol.benchmark

    @property
    def columns(self) -> Sequence[str]:
        """The measures that the paper's tables show of this benchmark."""
        return self.protocol.columns

    @property
    def values(self) -> dict[str, float]:
        """All measures by the names of `trainer.evaluate.protocol.TITLES`."""
        return {
            "ao": float(self.mean(self.ao)),
            "sr50": float(self.mean(self.sr50)),
            "sr75": float(self.mean(self.sr75)),
            "success_score": float(self.mean(self.success).mean()),
            "precision_score": float(self.mean(self.precision)[20]),
            "normalised_precision_score": float(self.mean(self.normalised).mean()),
        }

    @property
    def speed(self) -> float:
        """Mean over videos of their frames per second; NaN where no times were recorded."""
        known = self.fps[~np.isnan(self.fps)]
        return float(known.mean()) if len(known) else float("nan")

    def record(self) -> dict[str, Any]:
        """What `--format json` prints: exactly the keys tracker, dataset, sequences, frames and five scores."""
        values = self.values
        del values["normalised_precision_score"]
        return {
            "tracker": self.tracker,
            "dataset": self.spec,
            "sequences": int((self.frames > 0).sum()),
            "frames": int(self.frames.sum()),
            **values,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One record per video: its frames, scores and speed."""
        return [
            {
                "sequence": name,
                "frames": int(self.frames[v]),
                "ao": float(self.ao[v]),
                "sr50": float(self.sr50[v]),
                "sr75": float(self.sr75[v]),
                "success_score": float(self.success[v].mean()),
                "precision_score": float(self.precision[v, 20]),
                "normalised_precision_score": float(self.normalised[v].mean()),
                "fps": float(self.fps[v]),
            }
            for v, name in enumerate(self.names)
        ]


def score(tracker: str, truth: Truth, runs: Sequence[Sequence[Boxes]], fps: Curve | None = None) -> Scores:
    """Score a tracker's boxes.

    Args:
        tracker: The tracker's name.
        truth: The ground truth of V videos.
        runs: For each repetition, V arrays of boxes, as many as the video has frames, or none where the tracker was
            not run on the video that often. All repetitions' frames are pooled, as in the GOT-10k toolkit.
        fps: Frames per second of each video, (V,).
    """
    at = overlap_thresholds(truth.protocol.thresholds)
    videos = len(truth.names)
    frames = np.zeros(videos, np.int64)
    total = np.zeros(videos)
    half = np.zeros((videos, 2), np.int64)
    success = np.zeros((videos, len(at)), np.int64)
    precision = np.zeros((videos, len(CENTRE_THRESHOLDS)), np.int64)
    normalised = np.zeros((videos, len(NORMALISED_THRESHOLDS)), np.int64)
    for run in runs:
        boxes, counted = _end_to_end(truth, run)
        video = truth.video[counted]
        frame = measured(
            _bounded(boxes[counted], video, truth.sizes), _bounded(truth.boxes[counted], video, truth.sizes)
        )
        frames += np.bincount(video, minlength=videos)
        total += np.bincount(video, frame.overlap, minlength=videos)
        half += above(frame.overlap, video, videos, np.array([0.5, 0.75]))
        success += above(frame.overlap, video, videos, at)
        precision += within(frame.centre_error, video, videos, CENTRE_THRESHOLDS)
        normalised += within(frame.normalised_error, video, videos, NORMALISED_THRESHOLDS)
    # A video without a frame that counts (GOT-10k's 000385) has no score: NaN, and no part in any mean.
    divisor = np.where(frames > 0, frames.astype(np.float64), np.nan)
    shares = half / divisor[:, None]
    return Scores(
        tracker=tracker,
        spec=truth.spec,
        protocol=truth.protocol,
        names=truth.names,
        frames=frames,
        ao=total / divisor,
        sr50=shares[:, 0],
        sr75=shares[:, 1],
        success=success / divisor[:, None],
        precision=precision / divisor[:, None],
        normalised=normalised / divisor[:, None],
        fps=np.full(videos, np.nan) if fps is None else fps,
    )


def _end_to_end(truth: Truth, run: Sequence[Boxes]) -> tuple[Boxes, NDArray[np.bool_]]:
    """One repetition's boxes for all N frames, and the frames that count in it."""
    lengths = np.array([len(boxes) for boxes in run], np.int64)
    wrong = np.flatnonzero((lengths != truth.lengths) & (lengths > 0))
    if len(run) != len(truth.names) or wrong.size:
        at = int(wrong[0]) if wrong.size else 0
        raise ValueError(
            f"{len(run)} results for {len(truth.names)} videos"
            if len(run) != len(truth.names)
            else f"{truth.names[at]}: {lengths[at]} boxes for {truth.lengths[at]} frames"
        )
    run_on = np.repeat(lengths > 0, truth.lengths)
    boxes = np.full_like(truth.boxes, np.nan)
    boxes[run_on] = np.concatenate(run) if run_on.any() else np.empty((0, 4), np.float32)
    if truth.protocol.first_frame:
        first = np.cumsum(truth.lengths) - truth.lengths
        boxes[first] = truth.boxes[first]
    return boxes, truth.counted & run_on


def _bounded(
    boxes: Boxes, video: NDArray[np.int64], sizes: NDArray[np.float64] | None
) -> Boxes | NDArray[np.float64]:
    """Boxes as the GOT-10k toolkit brings them into the image: a corner outside is moved in, then the size is cut."""
    if sizes is None:
        return boxes
    limit = sizes[video]
    corner = np.clip(boxes[:, :2].astype(np.float64), 0, limit)
    size = np.clip(boxes[:, 2:].astype(np.float64), 0, limit - corner)
    return np.concatenate([corner, size], axis=1)
