"""The same bytes: from 1 worker and from 2, after kills at random moments, from two copies of the project.

Every variant runs `dvc repro` from nothing in a folder of its own; what it made is compared file by file.

Example:
    python benchmarks/same_bytes.py --kills 20
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scratch_project import DVC, ENVIRONMENT, make, own_params

from datasets.command_line import run_only_command


def copy_project(folder: Path, workers: int, videos: int) -> None:
    """A project of its own with the default parameters, fewer videos and so many workers."""
    params = own_params()
    params["executor"]["workers"] = workers
    params["synthetic"]["videos"] = videos
    make(folder, params)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Begin `dvc repro` in a process group of its own."""
    return subprocess.Popen(
        [*DVC, "repro", "-q"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def finish(folder: Path) -> float:
    """Run `dvc repro` to its end; returns the seconds."""
    began = time.perf_counter()
    if start(folder).wait():
        raise SystemExit(f"dvc repro failed in {folder}")
    return time.perf_counter() - began


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that the stages made."""
    made = [*folder.glob("data/*.h5"), *folder.glob("data/*/*.h5"), *folder.glob("report/*")]
    made += folder.glob("data/synthetic/*/*/*")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made)
    }


@dataclass(frozen=True)
class Command:
    """Compare the bytes of runs that differ in workers, kills and place.

    Example:
        python benchmarks/same_bytes.py --kills 20
    """

    kills: int = 20
    """How many times a run is killed (kill -9 of the whole process group) before it may end."""

    videos: int = 12
    """Procedural videos."""

    seed: int = 0
    """Of the moments of the kills."""

    def run(self) -> int:
        """Print a markdown table; exit 1 where bytes differ."""
        with tempfile.TemporaryDirectory() as scratch:
            return self._compare(Path(scratch))

    def _compare(self, scratch: Path) -> int:
        copy_project(scratch / "one", 1, self.videos)
        took = finish(scratch / "one")
        wanted = outputs(scratch / "one")
        print(f"{len(wanted)} files, {took:.0f} s with 1 worker\n\n| run | files that differ |\n|---|---|")
        different = 0
        for name, workers, kills in (
            ("2 workers", 2, 0),
            ("another copy, 1 worker", 1, 0),
            (f"2 workers, {self.kills} kills", 2, self.kills),
        ):
            folder = scratch / name.replace(" ", "-").replace(",", "")
            copy_project(folder, workers, self.videos)
            moments = random.Random(self.seed)
            hits = 0
            for _ in range(kills):
                # A kill after the run has ended, or while DVC still starts, would prove nothing.
                process = start(folder)
                time.sleep(moments.uniform(1.0, 5.0))
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    hits += 1
                process.wait()
            finish(folder)
            found = outputs(folder)
            # The number of workers is in params.yaml, and nowhere in the outputs.
            wrong = sorted(
                path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)
            )
            print(
                f"| {name}{f' ({hits} of them while it ran)' if kills else ''} | {', '.join(wrong) or 'none'} |",
                flush=True,
            )
            different += len(wrong)
        return int(different > 0)


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/same_bytes.py"))
