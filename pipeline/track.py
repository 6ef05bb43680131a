"""Stage 2, track: one teacher over all videos of the index.

The work is spread over the executor's workers; each finished video goes into the journal at once, and the teacher's
file is written from the journal, in the index's order, when the last one is there.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from blake3 import blake3

from datasets.command_line import run_only_command
from datasets.errors import DataError
from pipeline import places
from pipeline.executor import executor
from pipeline.follow import Job, Outcome, run_job, worker_died
from pipeline.index import Index
from pipeline.journal import Entry, Journal
from pipeline.params import Params, TeacherParams, read_params
from pipeline.trajectories import Status, Trajectories
from teachers import registry


def track(name: str, params: Params, index: Index) -> Trajectories:
    """Run one teacher of params.yaml over all videos.

    Args:
        name: The teacher's name in params.yaml.
        params: All parameters.
        index: The videos.

    Raises:
        DataError: If params.yaml has no such teacher.
        ValueError: If its options are not what the teacher takes.
    """
    if name not in params.teachers:
        raise DataError(
            places.PARAMS, f"teachers has no {name!r}", f"Use one of {', '.join(params.teachers)}"
        )
    wanted = params.teachers[name]
    teacher = registry.create(wanted.use, wanted.options)
    stop_below = params.track.stop_below
    done: dict[str, Outcome] = {}
    digests = dict(zip(index.names, index.digests, strict=True))
    with Journal.opened(places.JOURNAL / f"{name}.sqlite", recipe(wanted, teacher.version)) as journal:
        # A recorded teacher's folder may have changed since, and reading it again costs nothing.
        if teacher.needs_images:
            for video, entry in journal.entries():
                if video in digests and entry.serves(digests[video], stop_below):
                    done[video] = entry.outcome
        options = json.dumps(wanted.options, sort_keys=True, default=str)
        # The longest videos first, so that no worker is left alone with one at the end.
        missing = [v for v in np.argsort(-index.lengths, kind="stable") if index.names[v] not in done]
        jobs = [
            Job(
                index.spec,
                params.dataset.exclude,
                index.names[v],
                index.digests[v],
                wanted.use,
                options,
                stop_below,
            )
            for v in missing
        ]
        weights = [int(index.lengths[v]) for v in missing]
        # Without images there is nothing to share out: starting processes would take longer than the work.
        with executor(params.executor, len(jobs) if teacher.needs_images else 0) as run:
            for number, outcome in run(run_job, jobs, weights, f"track {name}", "frames", worker_died):
                job = jobs[number]
                journal.add(job.video, Entry(outcome, job.digest, stop_below))
                done[job.video] = outcome
    trajectories = [
        done[video].trajectory.until(stop_below, index.absent[index.rows(v)])
        for v, video in enumerate(index.names)
    ]
    return Trajectories.of(name, index.fingerprint, stop_below, trajectories)


def recipe(wanted: TeacherParams, version: int) -> str:
    """Digest of all that a teacher's boxes depend on beside the video: tracker, version, options, files named there."""
    h = blake3(f"{wanted.use}\0{version}\0".encode())
    h.update(json.dumps(wanted.options, sort_keys=True, default=str).encode())
    for _, value in sorted(wanted.options.items()):
        if isinstance(value, str) and Path(value).is_file():
            h.update_mmap(value)
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
        trajectories = track(self.teacher, read_params(self.params), Index.read())
        out = places.trajectories(self.teacher)
        trajectories.write(out)
        ended = Counter(Status(status) for status in trajectories.status)
        print(f"{out}: " + ", ".join(f"{ended[status]} {status.name.lower()}" for status in Status))
        for message, times in Counter(filter(None, trajectories.errors)).most_common(5):
            print(f"  failed {times} x: {message}", file=sys.stderr)
        if ended[Status.FAILED]:
            print(f"  whole tracebacks: python -m pipeline.failures {self.teacher}", file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.track"))
