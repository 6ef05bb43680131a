"""Stage 2, track: one teacher over all videos of the index.

The work is spread over the executor's workers; each finished video goes into the journal at once, and the teacher's
file is written from the journal, in the index's order, when the last one is there.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from blake3 import blake3

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.errors import DataError
from datasets.spec import parse_spec
from pipeline import places
from pipeline.executor import executor
from pipeline.follow import Job, Outcome, run_job, worker_died
from pipeline.index import Index
from pipeline.journal import Entry, Journal
from pipeline.lockstep import run_in_lockstep
from pipeline.params import ExecutorParams, Params, TeacherParams, read_params
from pipeline.plan import Plan, planned
from pipeline.trajectories import Status, Trajectories
from teachers import pool, registry
from teachers.named_files import content_digest, files_of
from teachers.options import TeacherConfigError

IN_PROCESS = ExecutorParams.model_validate({"workers": 1})


def track(name: str, params: Params, index: Index) -> Trajectories:
    """Run one teacher of params.yaml over all videos.

    Args:
        name: The teacher's name in params.yaml.
        params: All parameters.
        index: The videos.

    Raises:
        DataError: If params.yaml has no such teacher, or the dataset is not there.
        TeacherConfigError: If its options are not what the teacher takes.
    """
    if name not in params.teachers:
        raise DataError(
            places.PARAMS, f"teachers has no {name!r}", f"Use one of {', '.join(params.teachers)}"
        )
    wanted = params.teachers[name]
    try:
        # A worker on another machine finds a checkpoint by its path, not by its name.
        options = registry.completed_options(wanted.use, _told(wanted, index))
        plan = planned(name, wanted.use, options, params.executor)
        # Built once here, so that what is wrong with it is said once; a GPU's memory is left to the workers.
        teacher = registry.create(
            wanted.use, {**options, "device": "cpu"} if plan and "device" in options else options
        )
    except TeacherConfigError as error:
        raise TeacherConfigError(f"{places.PARAMS}: teachers.{name}: {error}") from error
    stop_below = params.track.stop_below
    done: dict[str, Outcome] = {}
    digests = dict(zip(index.names, index.digests, strict=True))
    with Journal.opened(places.JOURNAL / f"{name}.sqlite", recipe(wanted, teacher.version)) as journal:
        journal.forget_failures()
        # A recorded teacher's folder may have changed since, and reading it again costs nothing.
        if teacher.needs_images:
            for video, entry in journal.entries():
                if video in digests and entry.serves(digests[video], stop_below):
                    done[video] = entry.outcome
        written = json.dumps(options, sort_keys=True, default=str)
        # The longest videos first, so that no worker is left alone with one at the end.
        missing = [v for v in np.argsort(-index.lengths, kind="stable") if index.names[v] not in done]
        jobs = [
            Job(
                index.spec,
                params.dataset.exclude,
                index.names[v],
                index.digests[v],
                wanted.use,
                written,
                stop_below,
                teacher.version,
            )
            for v in missing
        ]
        if jobs:
            # A disk that is not mounted would fail every video, and DVC take that for the teacher's result.
            # Anew, for `datasets.spec.opened` would not see that it went.
            open_dataset(index.spec, params.dataset.exclude)
        weights = [int(index.lengths[v]) for v in missing]
        # Without images there is nothing to share out: starting processes would take longer than the work.
        run = outcomes(jobs, weights, name, params.executor if teacher.needs_images else IN_PROCESS, plan)
        for job, outcome in run:
            journal.add(job.video, Entry(outcome, job.digest, stop_below))
            done[job.video] = outcome
    trajectories = [
        done[video].trajectory.until(stop_below, index.absent[index.rows(v)])
        for v, video in enumerate(index.names)
    ]
    return Trajectories.of(name, index.fingerprint, stop_below, trajectories)


def _told(wanted: TeacherParams, index: Index) -> dict[str, Any]:
    """A teacher's options; recordings have the base of the dataset's files, as in `pipeline.stats --results`."""
    return pool.of_dataset(wanted.use, wanted.options, parse_spec(index.spec).kind)


def outcomes(
    jobs: Sequence[Job], weights: Sequence[int], name: str, params: ExecutorParams, plan: Plan | None
) -> Iterator[tuple[Job, Outcome]]:
    """Run all jobs, one video at a time per worker or in lockstep; give each outcome as it gets ready."""
    if plan is None:
        with executor(params, len(jobs)) as run:
            for number, outcome in run(run_job, jobs, weights, f"track {name}", "frames", worker_died):
                yield jobs[number], outcome
        return
    local = params.model_copy(update={"workers": len(plan.devices)}) if plan.devices else params
    with executor(local, len(jobs), plan.threads, apart=True) as run:
        function = partial(run_in_lockstep, plan=plan)
        for number, outcome in run(function, jobs, weights, f"track {name}", "frames", worker_died):
            yield jobs[number], outcome


def recipe(wanted: TeacherParams, version: int) -> str:
    """Digest of all that a teacher's boxes depend on beside the video: tracker, version, options, files named there.

    Of files, also those of teachers beside a student, the content counts; where the folder of checkpoints is does not,
    nor which of several GPUs the device is.

    Args:
        wanted: The teacher as params.yaml has it.
        version: Of its boxes.
    """
    told = dict(wanted.options)
    if str(told.get("device", "")).startswith("cuda:"):
        told["device"] = "cuda"
    h = blake3(f"{wanted.use}\0{version}\0".encode())
    h.update(json.dumps(told, sort_keys=True, default=str).encode())
    for digest in sorted(map(content_digest, files_of(wanted.use, wanted.options))):
        h.update(digest.encode())
    return h.hexdigest(length=16)


@dataclass(frozen=True)
class Command:
    """Run one teacher of params.yaml over all videos of the index, several at once.

    Killed at any moment, it goes on where it was when it is started again.

    Example:
        python -m pipeline.track kcf
    """

    teacher: tyro.conf.Positional[str]
    """The teacher's name in params.yaml."""

    params: Path = places.PARAMS
    """The parameters."""

    def run(self) -> int:
        """Write the teacher's trajectories and say how they ended."""
        index = Index.read()
        trajectories = track(self.teacher, read_params(self.params), index)
        out = places.trajectories(self.teacher)
        trajectories.write(out)
        ended = Counter(Status(status) for status in trajectories.status)
        print(f"{out}: " + ", ".join(f"{ended[status]} {status.name.lower()}" for status in Status))
        alike: dict[str, list[str]] = {}  # but for the names of their videos
        for video, message in zip(index.names, trajectories.errors, strict=True):
            if message:
                alike.setdefault(message.replace(video, ""), []).append(message)
        for messages in sorted(alike.values(), key=len, reverse=True)[:5]:
            print(f"  failed {len(messages)} x: {messages[0]}", file=sys.stderr)
        if ended[Status.FAILED]:
            print(f"  whole tracebacks: python -m pipeline.failures {self.teacher}", file=sys.stderr)
            # To DVC this stage is done.
            print(f"  to try them again: dvc repro --force track@{self.teacher}", file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.track"))
