"""Videos on disk, in GOT-10k's layout: each folder appears complete, by rename, and a killed run is resumed.

ROOT/synthetic.json                    the options and the generator's version: written first
ROOT/train/list.txt                    the names: written last, so that its presence means "complete"
ROOT/train/Synthetic_Train_000001/     00000001.jpg ..., groundtruth.txt, *.label, meta_info.ini

Others that draw videos write theirs in the same way (`Drawing`, `write_videos`).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets.atomic import appearing, room_for
from datasets.claim import claimed
from datasets.command_line import progress as progress_bar
from datasets.errors import DataError
from datasets.processes import worker_processes
from datasets.synthetic.folder import write_video
from datasets.synthetic.options import GENERATOR_VERSION, PREFIX, SyntheticOptions, frames, video_name

MARKER = "synthetic.json"


@dataclass(frozen=True)
class Drawing:
    """Videos that are to be drawn; pickled for the processes that draw.

    Attributes:
        program: What draws them, for messages.
        marker: Name of the file, beside the split, that says what they were drawn with.
        version: Of the program's videos.
        options: What they were drawn with, as JSON has it.
        videos: How many.
        prefix: Of their names (`video_name`).
        length: Frames of a video, for the order in which they are drawn.
        write: Writes video i into a split's folder, under a name that begins with "." and ends with ".tmp-" and the
            process's number, and renames it.
    """

    program: str
    marker: str
    version: int
    options: Mapping[str, Any]
    videos: int
    prefix: str
    length: Callable[[int], int]
    write: Callable[[Path, int], object]

    @property
    def names(self) -> list[str]:
        """Of the videos, in their order."""
        return [video_name(index, self.prefix) for index in range(self.videos)]

    def is_folder(self, name: str) -> bool:
        """Whether this is the name of a video's folder, while it is written or afterwards."""
        return bool(re.fullmatch(rf"\.?{self.prefix}\d{{6}}(\.tmp-\d+)?", name))


def write_synthetic(
    root: Path,
    options: SyntheticOptions,
    workers: int = 1,
    progress: bool = False,
    *,
    overwrite: bool = False,
) -> None:
    """Write videos under `root`/train; what an earlier, killed run has completed is kept.

    The bytes are a function of the options: neither the number of workers, nor the number of videos, nor
    a kill in between changes a video's. For the arguments and errors see `write_videos`.
    """
    drawing = Drawing(
        program="python -m datasets synth",
        marker=MARKER,
        version=GENERATOR_VERSION,
        options=options.model_dump(mode="json"),
        videos=options.videos,
        prefix=PREFIX,
        length=partial(frames, options=options),
        write=partial(write_video, options=options),
    )
    write_videos(root, drawing, workers, progress, overwrite=overwrite)


def write_videos(
    root: Path, drawing: Drawing, workers: int = 1, progress: bool = False, *, overwrite: bool = False
) -> None:
    """Write videos under `root`/train; what an earlier, killed run has completed is kept.

    Args:
        root: A folder that is absent, empty, or holds (part of) the same videos.
        drawing: Which videos.
        workers: Processes; 1 draws in this one.
        progress: Show a bar on stderr where that is a terminal.
        overwrite: Replace videos of the same program and other options at this place.

    Raises:
        DataError: If `root` holds anything else, another process is writing there, or the disk is full.
        ValueError: If `workers` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}: at least 1 process has to draw")
    if root.exists() and not root.is_dir():
        raise DataError(root, "is not a folder", "Give an absent or empty folder")
    with claimed(root):
        _claim(root, drawing, overwrite=overwrite)
        folder = root / "train"
        folder.mkdir(exist_ok=True)
        _sweep(folder, drawing)
        if not (folder / "list.txt").is_file():
            _drop_hollow(folder, drawing)
        missing = [i for i, name in enumerate(drawing.names) if not (folder / name).is_dir()]
        bar = progress_bar("videos")
        bar.disable |= not progress
        with bar:
            done = drawing.videos - len(missing)
            task = bar.add_task("synthetic", total=drawing.videos, completed=done)
            with room_for(folder):
                for _ in _drawn(folder, missing, drawing, workers):
                    bar.advance(task)
        _sweep(folder, drawing)
        if not (folder / "list.txt").is_file():
            with appearing(folder / "list.txt") as path:
                path.write_text("".join(f"{name}\n" for name in drawing.names), encoding="utf-8")


def _claim(root: Path, drawing: Drawing, *, overwrite: bool) -> None:
    """Make `root` a folder of these videos, or say why it cannot be."""
    marker = root / drawing.marker
    for leftover in root.glob(f".{drawing.marker}.*.tmp"):  # of a run that was killed in its first moment
        leftover.unlink()
    content = {"generator_version": drawing.version, "options": dict(drawing.options)}
    if marker.is_file():
        found = _marker(marker)
        if found == content:
            return
        if not overwrite:
            problem = f"holds synthetic videos of other options: {_difference(found, content)}"
            remedy = f"Give another folder, or remove {root} (`{drawing.program}` has --overwrite for that)"
            raise DataError(root, problem, remedy)
        _remove_videos(root / "train", drawing)
    elif any(root.iterdir()):
        problem = "is not empty and was not written by this generator"
        raise DataError(root, problem, "Give an absent or empty folder")
    with appearing(marker) as path:
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _marker(path: Path) -> dict[str, Any]:
    """Read the marker of an earlier run."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        problem = f"is not readable as JSON ({error})"
        raise DataError(path, problem, "Give another folder, or remove this one") from error
    if not isinstance(found, dict) or not isinstance(found.get("options"), dict):
        problem = "does not hold the options of synthetic videos"
        raise DataError(path, problem, "Give another folder, or remove this one")
    return found


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Name the options that differ, with both values."""
    there, here = ({"generator_version": c.get("generator_version"), **c["options"]} for c in (found, wanted))
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    return ", ".join(f"{key} is {there.get(key)!r} there and {here.get(key)!r} here" for key in keys)


def _remove_videos(folder: Path, drawing: Drawing) -> None:
    """Remove what this writer made in a split's folder, and nothing else."""
    # The list goes first: from here on the folder counts as incomplete.
    (folder / "list.txt").unlink(missing_ok=True)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if drawing.is_folder(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def _sweep(folder: Path, drawing: Drawing) -> None:
    """Remove the unfinished folders and lists of killed runs."""
    for path in folder.glob(".list.txt.*.tmp"):
        path.unlink()
    for path in folder.glob(".*.tmp-*"):
        if drawing.is_folder(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _drop_hollow(folder: Path, drawing: Drawing) -> None:
    """Remove videos with an empty file: a power cut, unlike a kill, may leave that of a renamed folder."""
    for path in folder.glob(f"{drawing.prefix}*"):
        if drawing.is_folder(path.name) and any(file.stat().st_size == 0 for file in path.iterdir()):
            shutil.rmtree(path)


def _drawn(folder: Path, indices: list[int], drawing: Drawing, workers: int) -> Iterator[object]:
    """Draw videos, in this process or in several, and give what `write` gives as they appear."""
    workers = min(workers, len(indices))
    if workers <= 1:
        for index in indices:
            yield drawing.write(folder, index)
        return
    with worker_processes(workers) as pool:
        # The longest videos take several times the median: they start first, so that no worker ends alone.
        order = sorted(indices, key=lambda i: -drawing.length(i))
        for future in as_completed([pool.submit(drawing.write, folder, i) for i in order]):
            yield future.result()
