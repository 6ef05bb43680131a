"""Where toolkits put their results, and how their names are matched with the dataset's.

    GOT-10k toolkit   ROOT/<tracker>/<video>/<video>_001.txt     ... _002, _003: repetitions; <video>_time.txt
    OTB, TRAS         ROOT/<tracker>/<video>.txt
    pysot             ROOT/<dataset>/<tracker>/<video>.txt
    pytracking        ROOT/<tracker>/<parameters>/<video>.txt    and <video>_time.txt

Two forms, then: one folder per video, or flat, with the tracker one or two levels below the root. A tracker
two levels below is called `<first>/<second>`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from datasets.errors import DataError
from datasets.folder_dataset import contents
from datasets.results.errors import MissingResultError

Form = Literal["per video", "flat"]

_REPETITION = re.compile(r"_\d{3}\.txt")
_NOT_BOXES = ("_time.txt", "_object_presence_scores.txt", "_confidence.txt")

ALIASES = {"human4-2": "human4", "human4": "human4-2"}
"""OTB's Human4 has one target, which it calls Human4-2; the GOT-10k toolkit calls it after its folder."""


@dataclass(frozen=True)
class TrackerFolder:
    """The results of one tracker.

    Attributes:
        name: How it is called below the root.
        path: The folder.
        form: One folder per video, or one file per video.
    """

    name: str
    path: Path
    form: Form

    @cached_property
    def entries(self) -> dict[str, str]:
        """Videos by the toolkit's own names: names of their folders or files."""
        with os.scandir(self.path) as found:
            if self.form == "per video":
                return {e.name: e.name for e in sorted(found, key=lambda e: e.name) if e.is_dir()}
            names = sorted(e.name for e in found)
        return {name[:-4]: name for name in names if name.endswith(".txt") and not name.endswith(_NOT_BOXES)}

    @cached_property
    def normalised(self) -> dict[str, list[str]]:
        """Names that read alike for a person, such as `Jogging-1`, `jogging.1` and `Jogging_1`."""
        by_key: dict[str, list[str]] = {}
        for name in self.entries:
            by_key.setdefault(_key(name), []).append(name)
        return by_key

    def file(self, video: str, repetition: int = 1) -> Path:
        """The file with a video's boxes.

        The name may differ in case, and in the sign before a target's number (`Jogging-1`, `jogging.1`);
        pytracking puts `uav_` before the names of UAV123.

        Raises:
            MissingResultError: If there is none.
            DataError: If several could be meant.
        """
        name = self._match(video)
        if self.form == "flat" and repetition == 1:
            return self.path / self.entries[name]
        file = self.path / name / f"{name}_{repetition:03d}.txt"
        if self.form == "flat" or not file.is_file():
            raise MissingResultError(file, f"{self.name} has no repetition {repetition} for {video}", _REMEDY)
        return file

    def likely_file(self, video: str, repetition: int) -> str:
        """Where the boxes are if the toolkit and the dataset agree on the name: no look at the disk."""
        if self.form == "flat" and repetition == 1:
            return f"{self.path}/{video}.txt"
        return f"{self.path}/{video}/{video}_{repetition:03d}.txt"

    def repetitions(self, video: str) -> int:
        """How many times the tracker was run on a video, 0 if never."""
        try:
            name = self._match(video)
        except MissingResultError:
            return 0
        if self.form == "flat":
            return 1
        with os.scandir(self.path / name) as found:
            return sum(bool(_REPETITION.fullmatch(e.name.removeprefix(name))) for e in found)

    def _match(self, video: str) -> str:
        if video in self.entries:
            return video
        key = _key(video)
        for candidate in (key, ALIASES.get(key, key), f"uav-{key}", f"uav10fps-{key}"):
            names = self.normalised.get(candidate, [])
            if len(names) > 1:
                problem = f"{video} could be any of {', '.join(names)}"
                raise DataError(self.path, problem, f"Keep one of them, named {video}")
            if names:
                return names[0]
        problem = f"{self.name} has no result for {video} (it has {len(self.entries)} others)"
        raise MissingResultError(self.path, problem, _REMEDY)


def find_trackers(root: Path) -> dict[str, TrackerFolder]:
    """All trackers with results below `root`, by name.

    Raises:
        DataError: If there is none.
    """
    if not root.is_dir():
        what = "this is a file" if root.exists() else f"there is no such folder; {contents(root.parent)}"
        raise DataError(root, what, "Give the folder that holds one folder per tracker")
    own = _form(root)
    trackers: dict[str, TrackerFolder] = {}
    for folder in _folders(root) if own != "per video" else []:
        form = _form(folder)
        if form:
            trackers[folder.name] = TrackerFolder(folder.name, folder, form)
            continue
        for below in _folders(folder):
            form = _form(below)
            if form:
                name = f"{folder.name}/{below.name}"
                trackers[name] = TrackerFolder(name, below, form)
    if trackers:
        return trackers
    if own:
        problem = "these are the results of one tracker"
        raise DataError(root, problem, f"Give {root.parent}, and {root.name} as the tracker")
    remedy = "Give a folder with <tracker>/<video>/<video>_001.txt or <tracker>/<video>.txt"
    raise DataError(root, f"there are no results; {contents(root)}", remedy)


_REMEDY = "Run the tracker on this video, or leave the video out"


def _key(name: str) -> str:
    return re.sub(r"[._]", "-", name.casefold())


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as found:
        return sorted(folder / e.name for e in found if e.is_dir() and not e.name.startswith("."))


def _form(folder: Path) -> Form | None:
    flat = False
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir():
                if (folder / entry.name / f"{entry.name}_001.txt").is_file():
                    return "per video"
            else:
                flat |= entry.name.endswith(".txt") and not entry.name.endswith(_NOT_BOXES)
    return "flat" if flat else None
