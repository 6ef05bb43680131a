"""`python -m trainer.evaluate`: run trackers and score them, or score result folders of anybody."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from datasets import open_dataset
from datasets.command_line import counted
from datasets.errors import DataError
from datasets.results import ResultsFolder
from datasets.spec import parse_spec
from datasets.video import VideoDataset
from trainer.evaluate.fractions import Fractions, read_fractions
from trainer.evaluate.plots import write_fractions_plot, write_report, write_vot_report
from trainer.evaluate.protocol import PROTOCOLS, Protocol
from trainer.evaluate.recordings import SHOWN, Leniency, score_folder
from trainer.evaluate.running import run_trackers
from trainer.evaluate.scores import Scores
from trainer.evaluate.submission import write_submission
from trainer.evaluate.tables import FORMATS, fractions_table, per_sequence
from trainer.evaluate.tracker_spec import STUDENTS, Defaults, TrackerSpec, parse_trackers, read_trackers
from trainer.evaluate.truth import Absent, Truth, read_truth
from trainer.evaluate.vot_recordings import score_vot_folder, vot_trackers
from trainer.evaluate.vot_scores import INTERVALS, VotScores

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluate:
    """Run trackers over benchmarks and score them as the paper does; or score result folders of anybody.

    GOT-10k: AO, SR.50, SR.75. OTB-100, UAV123, LaSOT: success and precision scores. VOT: EAO, accuracy, robustness.
    Boxes are kept as each video ends, and a run that was stopped goes on where it was. docs/evaluation.md shows how
    to produce each table of the paper.

    Example:
        python -m datasets synth data/demo --videos 4 --seed 0
        python -m trainer.evaluate --tracker kcf mosse --dataset synthetic:data/demo
        python -m trainer.evaluate --results evaluation/results/synthetic-train --dataset synthetic:data/demo
    """

    dataset: tuple[str, ...]
    """Benchmarks, each KIND:ROOT[:SPLIT]; for scoring results, annotations:DIR is enough."""
    tracker: tuple[str, ...] = ()
    """Trackers to run: tras, trast, trasfust, or a teacher (`python -m teachers list`), under another name and with
    options as NAME=kcf,key=value. With --results: the trackers to score; if left out, all that are there, but for
    those whose results are at fault, which are reported."""
    trackers: Path | None = None
    """A YAML file of trackers to run, NAME: {use: trast, weights: W, teacher: kcf}."""
    teachers: tuple[str, ...] = ()
    """Teachers that run beside the student in trast (one) and trasfust; written like --tracker, or recorded:DIR for
    boxes that a tracker wrote."""
    weights: Path | None = None
    """The student's weights for tras, trast and trasfust."""
    results: tuple[Path, ...] = ()
    """Score these result folders, one per benchmark, instead of running trackers."""
    base: Literal[0, 1] | None = None
    """With --results: what their files call the first pixel, where that is not what the dataset's own files call it."""
    out: Path = Path("evaluation")
    """Where runs put results/<benchmark>/<tracker>/, and the archive for GOT-10k's server."""
    report: Path | None = None
    """Write success and precision plots (VOT: the EAO curve) and per-sequence tables (CSV) into this folder."""
    plots: Literal["svg", "png", "pdf"] = "svg"
    """The format of the plots."""
    format: Literal["table", "json", "latex", "markdown"] = "table"
    """json: a list of one record per tracker and benchmark. latex, markdown: the layout of the paper's tables."""
    per_sequence: bool = False
    """Print each tracker's scores per sequence as well, to stderr."""
    fractions: bool = False
    """Print who gave which share of the boxes (Figure 6) instead of scores: trast and trasfust."""
    missing: Literal["refuse", "omit"] = "refuse"
    """A video without a result is an error, or left out."""
    unequal: Literal["refuse", "cut", "cut-start", "omit"] = "refuse"
    """A result of another length than its video is an error, cut at the end (the GOT-10k toolkit) or the start, or left
    out."""
    absent: Absent = "protocol"
    """Frames that the benchmark marks as absent. protocol: they count by the box annotated there. drop: they do not
    count. miss: they count as missed (LaSOT's own toolkit)."""
    experiment: Literal["auto", "ope", "supervised"] = "auto"
    """ope: one pass. supervised: VOT's, with restarts. auto: supervised for vot, else one pass."""
    interval: tuple[int, int] = INTERVALS["vot2019"]
    """VOT: the sequence lengths that EAO averages over (VOT2019: 46 291, VOT2018: 100 356)."""
    exclude: Path | None = None
    """A text file of videos to leave out, one name per line."""
    workers: int | None = None
    """Processes that run trackers; one per core if left out."""

    def run(self) -> int:
        """Run what is missing, score, print; the exit code is 1 where a tracker failed or was left out."""
        self._check()
        benchmarks = [self._benchmark(number, spec) for number, spec in enumerate(self.dataset)]
        self._check_labels([benchmark.label for benchmark in benchmarks])
        failed = False
        # All are run before one is scored: a tracker that failed on a video keeps no benchmark from being run.
        for benchmark in benchmarks:
            if benchmark.trackers:
                failed |= self._run_all(benchmark)
        scores: list[Scores | VotScores] = []
        shares: list[Fractions] = []
        packed: list[Path] = []
        refused: list[DataError] = []
        for benchmark in benchmarks:
            try:
                _came_through(benchmark)
                if self.fractions:
                    shares += self._fractions(benchmark, refused)
                elif benchmark.supervised:
                    scores += self._scored_vot(benchmark, refused)
                elif _withheld(benchmark, truth := self._truth(benchmark)):
                    packed += self._packed(benchmark, truth, refused)
                else:
                    scores += self._scored(benchmark, truth, refused)
            except DataError as error:
                if self.results:
                    raise
                refused.append(error)
        if refused and not (scores or shares or packed):
            raise refused[0]
        for fault in refused:
            print(f"left out: {fault}", file=sys.stderr)
        self._print(scores, shares)
        return int(failed or bool(refused))

    def _benchmark(self, number: int, spec: str) -> _Benchmark:
        kind = parse_spec(spec).kind
        dataset = open_dataset(spec, self.exclude)
        label, supervised = _label(dataset, kind), self._supervised(kind)
        if self.results:
            folder = self.results[number]
            return _Benchmark(spec, kind, dataset, label, supervised, folder, (), self.tracker)
        if kind == "annotations":
            raise ValueError("annotations have no images to run a tracker on: give the dataset, or --results")
        trackers = self._trackers(kind)
        folder = self.out / "results" / label
        names = tuple(tracker.name for tracker in trackers)
        return _Benchmark(spec, kind, dataset, label, supervised, folder, trackers, names)

    def _check(self) -> None:
        if self.results and len(self.results) != len(self.dataset):
            raise ValueError(
                f"{len(self.results)} --results for {len(self.dataset)} --dataset: give one per benchmark"
            )
        if self.results and (self.trackers is not None or self.teachers or self.weights is not None):
            raise ValueError("--results scores what is there: leave --trackers, --teachers and --weights out")
        if not self.results and not self.tracker and self.trackers is None:
            raise ValueError(
                "give --tracker NAME to run a tracker, or --results DIR to score a results folder"
            )
        if self.base is not None and not self.results:
            raise ValueError(
                "--base says how the files of --results count; runs write as the dataset's files count"
            )
        if self.fractions and self.results and not self.tracker:
            raise ValueError("--fractions with --results: name the trackers (--tracker trast)")
        for option, folder in (("--out", self.out), ("--report", self.report)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise ValueError(f"{option} {folder}: this is a file. Give a folder")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"--workers {self.workers}: give a positive number")
        low, high = self.interval
        if not 0 < low <= high:
            raise ValueError(f"--interval {low} {high}: give two lengths in frames, the lower first")

    def _check_labels(self, labels: Sequence[str]) -> None:
        shared = len(set(labels)) < len(labels)
        if shared and not self.results:
            raise ValueError("two --dataset would share one folder of results: run them with an --out each")
        if shared and self.report is not None:
            raise ValueError("two --dataset would share one folder of plots: score them with a --report each")

    def _trackers(self, kind: str) -> list[TrackerSpec]:
        defaults = Defaults(self.weights, self.teachers, kind)
        specs = parse_trackers(self.tracker, defaults)
        specs += [] if self.trackers is None else read_trackers(self.trackers, defaults)
        names = [spec.name for spec in specs]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two trackers are called {' and '.join(sorted(twice))}: give one another name")
        uses = {spec.use for spec in specs}
        if self.teachers and not uses & {STUDENTS["trast"], STUDENTS["trasfust"]}:
            raise ValueError(f"--teachers {' '.join(self.teachers)}: only trast and trasfust have teachers")
        if self.weights is not None and not uses & set(STUDENTS.values()):
            raise ValueError(f"--weights {self.weights}: only tras, trast and trasfust hold a student")
        return specs

    def _supervised(self, kind: str) -> bool:
        if self.experiment == "supervised" and kind != "vot":
            raise ValueError(
                f"the supervised experiment is VOT's: it needs a dataset of kind vot, not {kind}"
            )
        supervised = kind == "vot" and self.experiment != "ope"
        if supervised and self.fractions:
            raise ValueError(
                "--fractions: VOT's supervised experiment keeps no record of who gave each frame's box. "
                "Add --experiment ope, and run the trackers in a single pass"
            )
        return supervised

    def _run_all(self, benchmark: _Benchmark) -> bool:
        """Run all trackers on a benchmark; True if one failed on a video."""
        outcomes = run_trackers(
            benchmark.trackers,
            benchmark.dataset,
            benchmark.kind,
            benchmark.folder,
            exclude=self.exclude,
            workers=self.workers,
            supervised=benchmark.supervised,
        )
        for tracker in benchmark.trackers:
            done = [not outcome.error for job, outcome in outcomes if job.tracker is tracker]
            if done:
                where = f"{sum(done):,} of {counted(len(done), 'video')} run into {benchmark.folder}"
                print(f"{tracker.name}: {where}", file=sys.stderr)
        failures = [
            f"{job.tracker.name} failed on {job.video}: {outcome.error}"
            for job, outcome in outcomes
            if outcome.error
        ]
        _complain(failures, "failed")
        alone = [
            f"{job.tracker.name} went on without {teacher} on {job.video}: {reason}"
            for job, outcome in outcomes
            for teacher, reason in outcome.left_out.items()
        ]
        _complain(alone, "teachers that failed beside a student")
        return bool(failures)

    def _each(self, do: Callable[[str], T], names: Sequence[str], refused: list[DataError]) -> list[T]:
        """What can be done for each tracker; why it cannot be done for the others goes into `refused`.

        Raises:
            DataError: If it cannot be done for a tracker whose results the user asked for by name.
        """
        done = []
        for name in names:
            try:
                done.append(do(name))
            except DataError as error:
                if self.results and self.tracker:
                    raise
                refused.append(error)
        return done

    def _truth(self, benchmark: _Benchmark) -> Truth:
        return read_truth(benchmark.dataset, _protocol(benchmark.dataset, benchmark.kind), self.absent)

    def _scored(self, benchmark: _Benchmark, truth: Truth, refused: list[DataError]) -> list[Scores]:
        def scored(name: str) -> Scores:
            scores, notes = score_folder(folder, name, truth, Leniency(self.missing, self.unequal))
            for note in notes:
                print(note, file=sys.stderr)
            return scores

        folder = ResultsFolder(benchmark.folder, benchmark.kind, self.base)
        scores = self._each(scored, benchmark.names or folder.trackers, refused)
        if self.report is not None and scores:
            write_report(self.report / benchmark.label, scores, self.plots)
        return scores

    def _scored_vot(self, benchmark: _Benchmark, refused: list[DataError]) -> list[VotScores]:
        def scored(name: str) -> VotScores:
            return score_vot_folder(benchmark.folder, name, benchmark.dataset, self.interval, self.missing)

        scores = self._each(scored, benchmark.names or vot_trackers(benchmark.folder), refused)
        if self.report is not None and scores:
            write_vot_report(self.report / benchmark.label, scores, self.plots)
        return scores

    def _packed(self, benchmark: _Benchmark, truth: Truth, refused: list[DataError]) -> list[Path]:
        """Archives for GOT-10k's server, which alone has the ground truth."""

        def packed(name: str) -> Path:
            path = write_submission(folder, name, truth.names, truth.lengths, self.out / f"{name}.zip")
            print(f"{name}: the ground truth is withheld; upload {path} to GOT-10k's server", file=sys.stderr)
            return path

        folder = ResultsFolder(benchmark.folder, benchmark.kind, self.base)
        return self._each(packed, benchmark.names or folder.trackers, refused)

    def _fractions(self, benchmark: _Benchmark, refused: list[DataError]) -> list[Fractions]:
        videos = benchmark.dataset.names
        return self._each(
            lambda name: read_fractions(benchmark.folder, name, benchmark.spec, videos, self.missing),
            benchmark.names,
            refused,
        )

    def _print(self, scores: Sequence[Scores | VotScores], shares: Sequence[Fractions]) -> None:
        if self.fractions:
            if self.report is not None:
                write_fractions_plot(self.report / f"fractions.{self.plots}", shares)
            records = [share.record() for share in shares]
            print(json.dumps(records, indent=1) if self.format == "json" else fractions_table(shares), end="")
            if self.format == "json":
                print()
        elif scores or self.format == "json":
            print(FORMATS[self.format](scores), end="")
        if self.per_sequence:
            for scored in scores:
                print(per_sequence(scored.rows(), f"{scored.tracker} on {scored.spec}"), file=sys.stderr)


@dataclass(frozen=True, eq=False)
class _Benchmark:
    """One dataset, and the results on it.

    Attributes:
        spec: The dataset, as the user named it.
        kind: Its kind.
        dataset: Its videos.
        label: The name of its folders of results and plots, such as GOT-10k-val or LaSOT.
        supervised: Whether the results are of VOT's supervised experiment.
        folder: The results.
        trackers: What is to be run.
        names: The trackers to score, none for all that are there.
    """

    spec: str
    kind: str
    dataset: VideoDataset
    label: str
    supervised: bool
    folder: Path
    trackers: Sequence[TrackerSpec]
    names: Sequence[str]


def _came_through(benchmark: _Benchmark) -> None:
    """See that there is something to score of trackers that were run.

    Raises:
        DataError: If none of them has a folder of boxes: that of the benchmark is made with the first video.
    """
    if benchmark.trackers and not benchmark.folder.is_dir():
        problem = "no video came through, so there are no boxes to score"
        raise DataError(
            benchmark.folder, problem, "Mend what is told of each above, and run the same command again"
        )


def _complain(lines: Sequence[str], what: str) -> None:
    """Print some lines, and how many more there are."""
    more = [f"and {len(lines) - SHOWN} more {what}"] * (len(lines) > SHOWN)
    for line in [*lines[:SHOWN], *more]:
        print(line, file=sys.stderr)


def _label(dataset: VideoDataset, kind: str) -> str:
    split = getattr(dataset, "split", None)
    return _protocol(dataset, kind).benchmark + (f"-{split}" if split else "")


def _protocol(dataset: VideoDataset, kind: str) -> Protocol:
    """The kind's protocol; annotations alone are called after their folder."""
    if kind not in PROTOCOLS:
        raise ValueError(f"kind {kind} has no protocol: add one to PROTOCOLS in trainer/evaluate/protocol.py")
    if kind == "annotations":
        return replace(PROTOCOLS[kind], benchmark=dataset.root.resolve().name)
    return PROTOCOLS[kind]


def _withheld(benchmark: _Benchmark, truth: Truth) -> bool:
    """Whether nothing can be scored because only the first frames have a box (GOT-10k test).

    Raises:
        DataError: If nothing can be scored for another reason.
    """
    if truth.counted.any():
        return False
    if truth.protocol is PROTOCOLS["got10k"] and getattr(benchmark.dataset, "split", None) == "test":
        return True
    root = benchmark.dataset.root
    problem = f"no frame of {counted(len(truth.names), 'video')} counts, so there is nothing to score"
    remedy = "Name videos of two frames or more whose target is there and not covered (cover.label) after the first"
    raise DataError(root, problem, remedy)
