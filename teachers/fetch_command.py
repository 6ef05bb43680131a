"""`python -m teachers fetch`: published checkpoints into the folder where teachers look for them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from tyro.conf import Positional

from datasets.command_line import progress
from datasets.errors import DataError
from teachers.checkpoints import VARIABLE, Checkpoint, folder, how_to_get, known, of_teacher
from teachers.download import download

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Fetch:
    """Download published checkpoints that are not there yet.

    Teachers that cannot do without find them by themselves; the others take them by name, as in
    `mdnet: {weights: mdnet_imagenet_vid}`. A download that was cut goes on where it stopped. A file put into the
    folder by hand is taken too.

    Example:
        python -m teachers fetch --list
        python -m teachers fetch nano
        python -m teachers fetch siamrpn_r50_l234_dwxcorr --to weights
    """

    names: Positional[tuple[str, ...]] = ()
    """Checkpoints; or teachers, which get the first one listed for each of their options."""
    to: Path | None = None
    """Another folder than the usual one (TEACHER_WEIGHTS, or the user's cache folder)."""
    list: bool = False
    """Show which checkpoints there are, their sizes and licences, and which of them are there."""
    json: bool = False
    """Print JSON to stdout."""

    def run(self) -> int:
        """Fetch all that are named; the exit code is 1 where one has to be put there by hand."""
        chosen = [*{c.name: c for name in self.names for c in wanted(name)}.values()]
        if self.list:
            self._show(chosen or [*known().values()])
            return 0
        if not chosen:
            raise ValueError("name a checkpoint or a teacher, or use --list")
        rows = []
        for checkpoint in chosen:
            state = fetch(checkpoint, self.to)
            rows.append({"name": checkpoint.name, "path": str(checkpoint.path(self.to)), "state": state})
            if not self.json and state != "by hand":
                print(
                    f"{checkpoint.name}: {state}, {checkpoint.path(self.to)} (licence: {checkpoint.licence})"
                )
            elif state == "by hand":
                print(f"{checkpoint.name}: {how_to_get(checkpoint, self.to)}", file=sys.stderr)
        if self.json:
            print(json.dumps(rows, indent=2))
        return int(any(row["state"] == "by hand" for row in rows))

    def _show(self, chosen: Sequence[Checkpoint]) -> None:
        if self.json:
            rows = [
                {**asdict(c), "path": str(c.path(self.to)), "there": c.path(self.to).is_file()}
                for c in chosen
            ]
            print(json.dumps(rows, indent=2))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("name", "for", "size", "state", "licence"):
            table.add_column(title, no_wrap=title not in ("for", "licence"), overflow="fold")
        for c in chosen:
            state = "there" if c.path(self.to).is_file() else "fetch" if c.address else "by hand"
            table.add_row(c.name, f"{c.teacher} {c.option}", _size(c), state, c.licence)
        console = Console()
        if not console.is_terminal:
            console.width = 200  # a line each, for grep
        console.print(table)
        console.print(f"in {self.to or folder()}", highlight=False, soft_wrap=True)


def _size(checkpoint: Checkpoint) -> str:
    """Its size in MB, or what it is at least."""
    if checkpoint.size is not None:
        return f"{checkpoint.size / 1e6:.1f} MB"
    return "?" if checkpoint.least is None else f"over {checkpoint.least / 1e6:.0f} MB"


def wanted(name: str) -> list[Checkpoint]:
    """The checkpoints that a name means: its own, or the first listed for each option of a teacher.

    Raises:
        ValueError: If there is neither, or none is known for the teacher.
    """
    if name in known():
        return [known()[name]]
    if found := of_teacher(name):
        return found
    raise ValueError(
        f"no checkpoint is known by the name {name!r}, nor any for a teacher of it. Known: {', '.join(known())}"
    )


def fetch(checkpoint: Checkpoint, to: Path | None = None) -> str:
    """Bring one checkpoint, unless it is there.

    Args:
        checkpoint: Which.
        to: The folder; None: the usual one.

    Returns:
        `there` if it was, `fetched` if it is now, `by hand` if it has no address that a program can use.

    Raises:
        DataError: If the download fails, the folder cannot be written, or what came or was there is not the checkpoint.
    """
    path = checkpoint.path(to)
    if path.is_file():  # before anything is written: a folder that many share may be read-only
        checkpoint.verify(path)
        return "there"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            return _fetched(checkpoint, path)
    except OSError as error:
        raise DataError(
            path,
            f"it cannot be written ({error.strerror or error})",
            f"Name a folder where you may write, and that has room: set {VARIABLE}, or give --to FOLDER",
        ) from error


def _fetched(checkpoint: Checkpoint, path: Path) -> str:
    """Bring it to its path, while nobody else does."""
    if path.is_file():
        checkpoint.verify(path)
        return "there"
    if checkpoint.address is None:
        return "by hand"
    part = path.with_name(f"{path.name}.part")
    by_hand = f"download {checkpoint.file} by hand ({checkpoint.page}) to {path}"
    vouched = checkpoint.sha256 is not None or checkpoint.git_blob is not None
    with progress("bytes") as bar:
        task = bar.add_task(checkpoint.name, total=checkpoint.size)
        try:
            download(checkpoint.address, part, vouched, partial(_advance, bar, task))
        except DataError as error:
            raise DataError(error.path, error.problem, f"{error.remedy}; or {by_hand}") from error
    try:
        checkpoint.verify(part)
    except DataError as error:
        part.unlink()  # going on from it would never end well
        raise DataError(
            part,
            f"{error.problem}; what {checkpoint.address} sent is another file, or damaged, and was removed",
            f"Try again; if it happens again, {by_hand}",
        ) from error
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    return "fetched"


def _advance(bar: Progress, task: TaskID, done: int, total: int | None) -> None:
    bar.update(task, completed=done, total=total)
