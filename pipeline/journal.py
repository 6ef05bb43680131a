"""What is already tracked: crash-safe, one row per (recipe, video).

A stage that is killed at any moment loses at most the videos in flight; the next run takes the rest from here.
SQLite in WAL mode survives `kill -9` of the writer, and a row is written in one transaction. The recipe is a digest of
the teacher, its version and its options, so that the rows of other options stay and serve again when those come back.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from datasets.errors import DataError
from pipeline.follow import Outcome
from pipeline.trajectories import Status, Trajectory

_SCHEMA = """
create table if not exists outcome (
    recipe text, video text, digest text, stop_below real, status integer, boxes blob, overlap blob,
    error text, traceback text, seconds real,
    primary key (recipe, video)
) without rowid
"""


@dataclass(frozen=True, eq=False)
class Entry:
    """A row: the outcome, the digest of the video then, and the threshold at which it would have been abandoned."""

    outcome: Outcome
    digest: str
    stop_below: float | None

    def serves(self, digest: str, stop_below: float | None) -> bool:
        """Tell whether the row answers for this video at this threshold.

        A completed trajectory answers for every threshold, an abandoned one for those at or above its own. A failure
        answers for nothing: it is tried again.
        """
        status = self.outcome.trajectory.status
        if self.digest != digest or status is Status.FAILED:
            return False
        if status is Status.COMPLETED:
            return True
        return self.stop_below is not None and stop_below is not None and stop_below >= self.stop_below


def unusable(path: Path, error: sqlite3.Error) -> DataError:
    """The error of a journal that SQLite cannot read or write."""
    remedy = "Make room there; if it is the file that is damaged, remove it: its videos are tracked again"
    return DataError(path, f"this journal cannot be used ({error})", remedy)


class Journal:
    """The rows of one recipe. Use `Journal.opened`.

    Args:
        connection: An open database.
        recipe: Digest of the teacher, its version and its options.
    """

    def __init__(self, connection: sqlite3.Connection, recipe: str) -> None:
        self._connection = connection
        self._recipe = recipe

    @classmethod
    @contextmanager
    def opened(cls, path: Path, recipe: str) -> Iterator[Journal]:
        """Open a journal for writing; a second process waits until the first one ends or dies.

        Raises:
            DataError: If it is no journal, or the disk takes no more.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"{path}: another process is tracking with this teacher; waiting for it", file=sys.stderr)
            lock.acquire()
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = normal")
                connection.execute(_SCHEMA)
                yield cls(connection, recipe)
        except sqlite3.Error as error:
            raise unusable(path, error) from error
        finally:
            lock.release()

    def forget_failures(self) -> None:
        """Remove the rows of all failures, of any recipe: they answer for nothing, and those of this run are wanted."""
        with self._connection:
            self._connection.execute("delete from outcome where status = ?", (int(Status.FAILED),))

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """All rows of the recipe: (video, entry)."""
        rows = self._connection.execute(
            "select video, digest, stop_below, status, boxes, overlap, error, traceback, seconds "
            "from outcome where recipe = ?",
            (self._recipe,),
        )
        for video, digest, stop_below, status, boxes, overlap, error, trace, seconds in rows:
            trajectory = Trajectory(
                np.frombuffer(boxes, "<f4").reshape(-1, 4),
                np.frombuffer(overlap, "<f8"),
                Status(status),
                error,
            )
            yield video, Entry(Outcome(trajectory, trace, seconds), digest, stop_below)

    def add(self, video: str, entry: Entry) -> None:
        """Write one row; after that no kill of the process takes it away (a power cut may take the last ones)."""
        trajectory = entry.outcome.trajectory
        with self._connection:
            self._connection.execute(
                "insert or replace into outcome values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._recipe,
                    video,
                    entry.digest,
                    entry.stop_below,
                    int(trajectory.status),
                    trajectory.boxes.astype("<f4").tobytes(),
                    trajectory.overlap.astype("<f8").tobytes(),
                    trajectory.error,
                    entry.outcome.traceback,
                    entry.outcome.seconds,
                ),
            )
