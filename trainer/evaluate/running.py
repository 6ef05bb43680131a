"""Run a tracker over a dataset: several videos at once, and resumable.

Boxes go to a results folder as each video ends, in the GOT-10k toolkit's layout (of VOT's supervised experiment, in
VOT's: see `trainer.evaluate.supervised`); a video whose boxes are there is not run again. A video's file of boxes is
written last, so that a run killed at any moment leaves whole videos only.

    OUT/<tracker>.json                                   what the boxes were made with
    OUT/<tracker>/<video>/<video>_001.txt                boxes; <video>_time.txt: seconds per frame
                          <video>_chosen.txt             who gave each frame's box (TRAST, TRASFUST): one name per line
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing
from datasets.boxes import Boxes, is_valid, overlap
from datasets.command_line import progress
from datasets.errors import DataError
from datasets.images import read_image
from datasets.processes import cores, worker_processes
from datasets.results import write_results
from datasets.rows import read_bytes, read_many
from datasets.spec import KINDS, opened
from datasets.video import Video, VideoDataset
from teachers.base import Task, Teacher, TeacherError, checked_box
from teachers.third_party import FAULTS, at_home
from trainer.evaluate.regions import read_polygons
from trainer.evaluate.supervised import is_of, left_out, read_run, run_file, run_supervised, write_run
from trainer.evaluate.tracker_spec import TrackerSpec
from trainer.evaluate.truth import image_size

AHEAD = 2
"""Videos handed out for each worker: the next is there when a worker gets free."""


@dataclass(frozen=True)
class Job:
    """One tracker on one video.

    Attributes:
        spec, exclude: The dataset.
        kind: Its kind, which decides whether the boxes written are 1-based.
        video: The video's name.
        tracker: The tracker.
        recipe: What it was made with when the run began (`TrackerSpec.recipe`), as the file beside the results has it.
        folder: Where results go.
        supervised: Whether this is VOT's supervised experiment, or a single pass.
    """

    spec: str
    exclude: Path | None
    kind: str
    video: str
    tracker: TrackerSpec
    recipe: str
    folder: Path
    supervised: bool = False

    @property
    def boxes_file(self) -> Path:
        """The file that is there when the video is done."""
        if self.supervised:
            return run_file(self.folder, self.tracker.name, self.video)
        return self.folder / self.tracker.name / self.video / f"{self.video}_001.txt"


@dataclass(frozen=True, eq=False)
class Tracked:
    """A tracker's run through a video.

    Attributes:
        boxes: float32 (T, 4), 0-based.
        seconds: float64 (T,), in the tracker's own calls, without reading the images; zeros, which say nothing of its
            speed, where boxes of an earlier run were replayed.
        chosen: Who gave each frame's box, T names; empty for a tracker that does not choose.
        left_out: Teachers beside it that failed, so that it went on without them, and why.
    """

    boxes: Boxes
    seconds: NDArray[np.float64]
    chosen: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        error: What went wrong, "" if nothing did.
        left_out: See `Tracked`.
    """

    error: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)


def track_video(tracker: Teacher, video: Video) -> Tracked:
    """Run a tracker through a video from the ground truth of frame 0.

    Raises:
        TeacherError: If frame 0 has no target, or the tracker gives something that is not a box.
        DataError: If an image cannot be read.
        Exception: Whatever the tracker raises.
    """
    first = video.ground_truth[0]
    if not is_valid(first):
        shown = tuple(float(value) for value in first)
        raise TeacherError(
            f"the ground truth of frame 0, {shown}, is no box to start from: exclude the video"
        )
    boxes = np.empty((len(video), 4), np.float32)
    seconds = np.empty(len(video))
    for t, path in enumerate(video.frames):
        image = read_image(path) if tracker.needs_images else None
        began = time.perf_counter()
        box = tracker.track(image) if t else tracker.start(image, first, Task(video.name, len(video)))
        seconds[t] = time.perf_counter() - began
        boxes[t] = checked_box(box, f"frame {t}")
    if getattr(tracker, "replays", False):
        seconds[:] = 0
    chosen = tuple(str(name) for name in getattr(tracker, "chosen", ()))
    if chosen and len(chosen) != len(video):
        raise TeacherError(f"the tracker chose {len(chosen)} times in {len(video)} frames")
    return Tracked(boxes, seconds, chosen, left_out(tracker))


def run_trackers(
    trackers: Sequence[TrackerSpec],
    dataset: VideoDataset,
    kind: str,
    folder: Path,
    *,
    exclude: Path | None = None,
    workers: int | None = None,
    supervised: bool = False,
) -> list[tuple[Job, Outcome]]:
    """Run each tracker over all videos of a dataset that its results folder lacks.

    Args:
        trackers: The trackers.
        dataset: The videos.
        kind: The dataset's kind (`datasets.spec.KINDS`).
        folder: The results folder, which holds one folder per tracker.
        exclude: Videos to leave out, as given to `open_dataset`.
        workers: Processes; None for one per core.
        supervised: VOT's supervised experiment instead of a single pass.

    Returns:
        The jobs that were run now, in the trackers' and the dataset's order, and how each ended.

    Raises:
        ValueError: If a tracker cannot be built, which is found out before any is run, as far as it can be.
        DataError: If the folder holds boxes of this name that were made with something else or of other videos, a
            tracker's files changed before a process had read them.
    """
    for tracker in trackers:
        tracker.check()
    # Taken before anything is built: of files that change meanwhile, nobody could tell which of them the boxes are of.
    recipes = {tracker.name: tracker.recipe() for tracker in trackers}
    for tracker in trackers:
        _same_recipe(tracker, recipes[tracker.name], folder)
    wanted = [
        Job(dataset.spec, exclude, kind, name, tracker, _written(recipes[tracker.name]), folder, supervised)
        for tracker in trackers
        for name in dataset.names
    ]
    jobs = [job for job in wanted if not job.boxes_file.is_file()]
    done = [job for job in wanted if job.boxes_file.is_file()]
    if supervised:
        _same_sequences(done, dataset)
    else:
        _same_videos(done, dataset)
    if not jobs:
        return []
    lengths = {name: len(dataset[name]) for name in {job.video for job in jobs}}
    order = {tracker.name: number for number, tracker in enumerate(trackers)}
    # Of a tracker's videos the longest first, so that no worker is left alone with one at the end.
    jobs.sort(key=lambda job: (order[job.tracker.name], -lengths[job.video]))
    processes = min(workers or cores(), len(jobs))
    outcomes = {}
    with progress("frames") as bar:
        task = bar.add_task(f"tracking {dataset.spec}", total=sum(lengths[job.video] for job in jobs))
        for job, outcome in _here(jobs) if processes <= 1 else _spread(jobs, processes):
            outcomes[job.boxes_file] = outcome
            bar.advance(task, lengths[job.video])
    # Not as they came in: of many failures a report shows the first, and they should be the same ones every time.
    return [(job, outcomes[job.boxes_file]) for job in wanted if job.boxes_file in outcomes]


def run_job(job: Job) -> Outcome:
    """Run one video and write its files.

    Raises:
        ValueError: If the tracker cannot be built.
        DataError: If its files changed since the run began, or another run writes boxes of this name.
    """
    tracker = _built(job)
    dataset = opened(job.spec, job.exclude)
    try:
        with at_home():
            written, without = (
                _supervised(tracker, dataset, job)
                if job.supervised
                else _once(tracker, dataset[job.video], job)
            )
    except FAULTS as error:  # any error of a tracker is this video's failure, and is reported
        return Outcome(f"{type(error).__name__}: {' '.join(str(error).split())}")
    # Again, for another command may have begun to write here since.
    _same_recipe(job.tracker, json.loads(job.recipe), job.folder)
    recipe = _recipe_file(job.tracker, job.folder)
    if not recipe.is_file():  # not before there is something to describe
        with appearing(recipe) as temporary:
            temporary.write_text(job.recipe)
    written()
    return Outcome(left_out=without)


def _once(tracker: Teacher, video: Video, job: Job) -> tuple[Callable[[], object], Mapping[str, str]]:
    """Track a video; what is returned writes its files, and says who was left out."""
    tracked = track_video(tracker, video)

    def write() -> None:
        if tracked.chosen:
            with appearing(job.boxes_file.with_name(f"{video.name}_chosen.txt")) as temporary:
                temporary.write_text("".join(f"{name}\n" for name in tracked.chosen), encoding="utf-8")
        write_results(
            job.folder, job.tracker.name, video.name, tracked.boxes, seconds=tracked.seconds, kind=job.kind
        )

    return write, tracked.left_out


def _supervised(
    tracker: Teacher, dataset: VideoDataset, job: Job
) -> tuple[Callable[[], object], Mapping[str, str]]:
    video = dataset[job.video]
    truth = read_polygons(dataset.root / job.video / "groundtruth.txt", len(video))
    run = run_supervised(tracker, video, truth, image_size(video.frames[0]))
    return lambda: write_run(job.boxes_file, run), run.left_out


def _here(jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
    return ((job, run_job(job)) for job in jobs)


def _spread(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Outcome]]:
    """Run jobs in processes. One that dies takes all with it, and of the videos under way nobody knows which it was.

    So these are tried one after the other before others are begun. The video whose process dies even then has failed.
    """
    waiting = iter(jobs)
    suspects = yield from _until_a_death(waiting, processes)
    while suspects:
        for job in suspects:
            yield job, _alone(job)
        suspects = yield from _until_a_death(waiting, processes)


def _until_a_death(waiting: Iterator[Job], processes: int) -> Generator[tuple[Job, Outcome], None, list[Job]]:
    """Run jobs until there are no more, or a process died; returns those that were under way then."""
    under_way: dict[Future[Outcome], Job] = {}
    suspects: list[Job] = []
    with worker_processes(processes) as pool:
        while True:
            while (
                not suspects
                and len(under_way) < AHEAD * processes
                and (job := next(waiting, None)) is not None
            ):
                try:
                    under_way[pool.submit(run_job, job)] = job
                except BrokenProcessPool:
                    suspects.append(job)
            if not under_way:
                return suspects
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                job = under_way.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    suspects.append(job)
                else:
                    yield job, outcome


def _alone(job: Job) -> Outcome:
    with worker_processes(1) as pool:
        try:
            return pool.submit(run_job, job).result()
        except BrokenProcessPool:
            return Outcome(_DIED)


_DIED = (
    "the worker process died, and once more with no other video under way (memory, or a crash in native code). "
    "Look with `python -m teachers try` or `python -m trainer.track`; --exclude leaves the video out"
)


_trackers: dict[str, Teacher] = {}


def _built(job: Job) -> Teacher:
    """A tracker, built once per process and used for one video after the other."""
    key = f"{job.tracker!r} {job.recipe}"
    if key not in _trackers:
        _trackers.clear()
        tracker = job.tracker.build()
        _unchanged(job)
        _trackers[key] = tracker
    return _trackers[key]


def _unchanged(job: Job) -> None:
    """Make sure that what a tracker was just built from is what it was when the run began."""
    began, now = json.loads(job.recipe), job.tracker.recipe()
    if _written(now) != job.recipe:
        files = {**began["files"], **now["files"]}
        changed = [path for path in files if began["files"].get(path) != now["files"].get(path)]
        problem = f"{', '.join(changed) or job.tracker.use} changed while {job.tracker.name} was being run"
        remedy = "Put it back and run the same command again, or give another --out"
        raise DataError(_recipe_file(job.tracker, job.folder), problem, remedy)


def _written(recipe: Mapping[str, object]) -> str:
    return json.dumps(recipe, indent=1, sort_keys=True) + "\n"


def _same_recipe(tracker: TrackerSpec, recipe: Mapping[str, object], folder: Path) -> None:
    """Make sure that boxes of this name which are there were made with the same thing."""
    path = _recipe_file(tracker, folder)
    if path.is_file():
        try:
            made_with = json.loads(read_bytes(path))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            remedy = f"Delete it and {folder / tracker.name}, or give another --out"
            raise DataError(path, f"this is not JSON ({error})", remedy) from error
        if made_with != recipe:
            made = "made with other options, weights, teachers or code"
            problem = f"{folder / tracker.name} holds boxes that were {made}"
            remedy = f"Give another --out, or the tracker another name (NAME={tracker.name}), or delete both"
            raise DataError(path, problem, remedy)
    elif (folder / tracker.name).is_dir() and any((folder / tracker.name).rglob("*_001.txt")):
        problem = "there is no such file, though there are boxes of this tracker: nobody knows what made them"
        raise DataError(path, problem, f"Score them with --results {folder}, or give another --out")


def _same_videos(done: Sequence[Job], dataset: VideoDataset) -> None:
    """Make sure that boxes which are there are of these videos, and not of another dataset's with the same names.

    A tracker starts on the target, so that its first box lies elsewhere in another video alone.
    """
    files: list[Path | str] = [job.boxes_file for job in done]
    for job, boxes in zip(
        done, read_many(files, origin=KINDS[done[0].kind].base if done else 0), strict=True
    ):
        if isinstance(boxes, DataError):  # scoring says so, of this tracker alone
            continue
        video = dataset[job.video]
        start = float(overlap(boxes[:1], video.ground_truth[:1]).sum())
        if len(boxes) != len(video) or not start:
            found = f"{len(boxes)} boxes, the first of which overlaps with the target by {start:.3g}"
            problem = f"{_OTHER}: {found}; here it has {len(video)} frames"
            raise DataError(job.boxes_file, problem, _ELSEWHERE.format(job.spec))


def _same_sequences(done: Sequence[Job], dataset: VideoDataset) -> None:
    """The same of the supervised experiment: challenges share sequences' names, and annotated some anew."""
    for job in done:
        video = dataset[job.video]
        truth = read_polygons(dataset.root / job.video / "groundtruth.txt", len(video))
        if not is_of(read_run(job.boxes_file, len(truth)), truth, image_size(video.frames[0])):
            problem = f"{_OTHER}: a region that was no failure there does not overlap the target here"
            raise DataError(job.boxes_file, problem, _ELSEWHERE.format(job.spec))


_OTHER = "these are of another video of that name, or were cut"
_ELSEWHERE = "Give another --out for {}, or delete the file, and the tracker runs again"


def _recipe_file(tracker: TrackerSpec, folder: Path) -> Path:
    return folder / f"{tracker.name}.json"
