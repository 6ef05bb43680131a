"""`python -m trainer.judge`: how well the student's value head judges, on which TRAST and TRASFUST rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from datasets import open_dataset
from datasets.command_line import progress, run_only_command
from datasets.errors import DataError
from datasets.images import read_image
from datasets.spec import parse_spec
from datasets.video import Video, VideoDataset
from teachers import pool
from teachers.base import NoRecordingError, Task, TeacherError
from trainer.evaluate.tables import rendered
from trainer.judgement import Picks, Values, rewards
from trainer.trackers import Inference, TrasfustTracker, TrasTracker, TrastTracker
from trainer.trackers.choice import STUDENT, Choice
from trainer.trackers.memory import PERIOD


@dataclass(frozen=True)
class Judge:
    """How well a student judges: its values against the rewards that followed, and its choices.

    TRAS runs alone, TRAST beside each teacher, TRASFUST over all of them. For each stream of boxes (the student's
    and each teacher's) the correlation of v_t with the return that followed is shown; for TRAST and TRASFUST how often
    the better box was chosen where the boxes differ, and the fraction that each gave (Figure 6).

    Example:
        python -m trainer.judge --weights W.safetensors --dataset otb:/data/OTB --teachers kcf csrt
        python -m trainer.judge --weights W.safetensors --dataset otb:/data/OTB --results /results --teachers ECO KCF
    """

    weights: Path
    """A student's file."""
    dataset: str
    """Videos with images, KIND:ROOT[:SPLIT]."""
    teachers: tuple[str, ...] = ()
    """Teachers, as `python -m trainer.track` takes them; with --results, trackers' folders there."""
    results: Path | None = None
    """A results folder: the teachers are then recorded, not run."""
    videos: tuple[str, ...] = ()
    """Only these videos."""
    horizon: int = 16
    """Frames of the return `ahead`."""
    gamma: float = 1.0
    """Discount of the return `rest`: the γ that the student learned with."""
    margin: float = 0.05
    """A choice counts where the best and the worst IoU are further apart than this."""
    period: int = PERIOD
    """Updates after which the LSTM returns to its first state; 0 for never."""
    device: str = "cpu"
    """Where the student runs: cpu, cuda, cuda:1 ..."""
    threads: int = 0
    """PyTorch's threads on the CPU; 0 leaves its own choice, which crawls where other work has the cores."""
    json: bool = False
    """Print JSON to stdout."""

    def run(self) -> int:
        """Track all videos and print the figures; the exit code is 1 where a tracker failed on a video."""
        if self.horizon < 1:
            raise ValueError(f"--horizon {self.horizon}: give at least one frame")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"--gamma {self.gamma}: give a discount from 0 to 1")
        if not self.margin >= 0:
            raise ValueError(f"--margin {self.margin}: give a difference of IoUs, 0 or more")
        if self.results is not None and not self.teachers:
            raise ValueError(f"--results {self.results}: name trackers of it (--teachers ECO KCF)")
        names = self.teachers
        if self.results is not None:
            names = tuple(f"recorded:{self.results / name}" for name in self.teachers)
        named = pool.named(names, parse_spec(self.dataset).kind)
        dataset = open_dataset(self.dataset)
        if unknown := [name for name in self.videos if name not in dataset.names]:
            raise DataError(dataset.root, f"there is no video {', '.join(unknown)}", "Name videos of it")
        inference = Inference.load(self.weights, self.device, self.period, self.threads)
        study = Study(inference, named, self.period, self.horizon, self.margin, self.gamma)
        wanted = tuple(dict.fromkeys(self.videos)) or dataset.names
        with progress("videos") as bar:
            for name in bar.track(wanted, description="judging"):
                study.add(_with_images(dataset, name))
        figures = {"weights": str(self.weights), "dataset": self.dataset, **study.summary()}
        if self.json:
            print(json.dumps(figures))
        else:
            _show(figures)
        for line in (*study.failures, *study.left_out):
            print(line, file=sys.stderr)
        return int(bool(study.failures))


class Study:
    """The figures of one student beside some teachers, video by video.

    Args:
        inference: The student.
        teachers: By name, with options, see `teachers.pool`.
        period: Of the LSTM's returns.
        horizon: Frames of the return `ahead`.
        margin: See `Picks`.
        gamma: Discount of the return `rest`.

    Attributes:
        videos: That at least one tracker came to the end of.
        frames: Of these.
        failures: Which trackers failed on which video, and why: it is in no figure of theirs.
        left_out: Which teachers failed beside which tracker, and why: they are in the figures up to there.
    """

    def __init__(
        self,
        inference: Inference,
        teachers: pool.Named,
        period: int = PERIOD,
        horizon: int = 16,
        margin: float = 0.05,
        gamma: float = 1.0,
    ) -> None:
        self.videos = 0
        self.frames = 0
        self.failures: list[str] = []
        self.left_out: list[str] = []
        self._tras = TrasTracker(inference)
        self._trackers: dict[str, TrastTracker | TrasfustTracker] = {}
        if teachers:
            self._trackers["trasfust"] = TrasfustTracker(inference, pool.create(teachers))
            for name, teacher in pool.create(teachers).items():
                self._trackers[f"trast {name}"] = TrastTracker(inference, name, teacher)
        self._values = {name: Values(period, horizon, gamma) for name in (STUDENT, *teachers)}
        self._picks = {name: Picks(margin) for name in self._trackers}

    def add(self, video: Video) -> None:
        """Track a video with all trackers.

        Raises:
            DataError: If an image or a recorded result cannot be read.
            ValueError: If a recorded teacher has no result for the video.
        """
        truth, present = video.ground_truth[1:], ~video.absent[1:]
        runs = self._runs(video)
        for name, choices in runs.items():
            if name in self._picks:
                self._picks[name].add(choices, truth, present)
            if name.startswith("trast "):
                continue
            for stream in choices[0].boxes if choices else ():
                # A teacher that failed is in no later frame.
                own = [choice for choice in choices if stream in choice.boxes]
                r = rewards([choice.boxes[stream] for choice in own], truth[: len(own)])
                self._values[stream].add([c.values[stream] for c in own], r, present[: len(own)])
        if runs:
            self.videos += 1
            self.frames += len(video)

    def summary(self) -> dict[str, object]:
        """All figures so far, for JSON; see `Values` and `Picks`."""
        return {
            "videos": self.videos,
            "frames": self.frames,
            "values": {name: values.summary() for name, values in self._values.items()},
            "picks": {name: picks.summary() for name, picks in self._picks.items()},
        }

    def _runs(self, video: Video) -> dict[str, Sequence[Choice]]:
        """The choices in the frames 1, 2, ... of every tracker that does not fail; each image is read once."""
        task, first = Task(video.name, len(video)), video.ground_truth[0]
        trackers: dict[str, TrasTracker | TrastTracker | TrasfustTracker] = {
            "tras": self._tras,
            **self._trackers,
        }
        failed: dict[str, list[str]] = {}
        for t, path in enumerate(video.frames):
            image = read_image(path)
            for name, tracker in list(trackers.items()):
                try:
                    _ = tracker.track(image) if t else tracker.start(image, first, task)
                except NoRecordingError as error:  # no tracker's failure but the user's
                    raise ValueError(str(error)) from error
                except TeacherError as error:
                    failed.setdefault(str(error), []).append(name)
                    del trackers[name]
            if not trackers:
                break
        self.failures += [f"{', '.join(who)} failed on {video.name}: {why}" for why, who in failed.items()]
        self.left_out += [
            f"{name} went on without {teacher} on {video.name}: {reason}"
            for name, tracker in trackers.items()
            for teacher, reason in getattr(tracker, "failed", {}).items()
        ]
        return {name: tracker.choices[1:] for name, tracker in trackers.items()}


def _with_images(dataset: VideoDataset, name: str) -> Video:
    video = dataset[name]
    if not video.frames:
        raise DataError(dataset.root, "there are annotations but no images", "Give a dataset with images")
    return video


def _show(figures: Mapping[str, object]) -> None:
    values, picks = figures["values"], figures["picks"]
    assert isinstance(values, dict) and isinstance(picks, dict)
    print(f"{figures['dataset']}: {figures['videos']} videos, {figures['frames']} frames")
    for title, rows in (("values", values), ("choices", picks)):
        if not rows:
            continue
        figures_of = [key for key, value in next(iter(rows.values())).items() if not isinstance(value, dict)]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in (title, *rows):
            table.add_column(name, no_wrap=True)
        for key in figures_of:
            table.add_row(key, *(_written(row[key]) for row in rows.values()))
        print(rendered(table), end="")
    for name, row in picks.items():
        parts = ", ".join(f"{who} {_written(share)}" for who, share in row["fraction"].items())
        print(f"{name} took its boxes from: {parts}")


def _written(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int | np.integer) else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(run_only_command(Judge, "python -m trainer.judge"))
