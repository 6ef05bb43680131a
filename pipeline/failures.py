"""Why videos failed in a teacher's latest run: the whole tracebacks, which the journal keeps."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import tyro

from datasets.command_line import counted, run_only_command
from datasets.errors import DataError
from pipeline import places
from pipeline.journal import unusable
from pipeline.trajectories import Status


@dataclass(frozen=True)
class Command:
    """Show the videos on which a teacher failed in its latest run, with the traceback of each.

    Example:
        python -m pipeline.failures kcf
    """

    teacher: tyro.conf.Positional[str]
    """The teacher's name in params.yaml."""

    json: bool = False
    """Print a list of {"video", "error", "traceback"}."""

    def run(self) -> int:
        """Print the failures; exit 0 whether there are some or not."""
        path = places.JOURNAL / f"{self.teacher}.sqlite"
        failures = [{"video": v, "error": e, "traceback": t} for v, e, t in failed(path)]
        if self.json:
            print(json.dumps(failures, indent=1, ensure_ascii=False))
            return 0
        for failure in failures:
            print(f"{failure['video']}: {failure['error']}\n{failure['traceback']}")
        print(f"{counted(len(failures), 'failure')} in {path}", file=sys.stderr)
        return 0


def failed(path: Path) -> list[tuple[str, str, str]]:
    """The failures in a journal: (video, error, traceback), by video.

    Raises:
        DataError: If there is no journal there, or it cannot be read.
    """
    if not path.is_file():
        remedy = f"Name a teacher of params.yaml. {places.made_by('dvc repro')}"
        raise DataError(path, "there is no journal", remedy)
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(
                "select video, error, traceback from outcome where status = ? order by video",
                (int(Status.FAILED),),
            )
            return [(str(video), str(error), str(trace)) for video, error, trace in rows]
    except sqlite3.Error as error:
        raise unusable(path, error) from error


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python -m pipeline.failures"))
