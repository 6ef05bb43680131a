"""`python -m datasets merge`: one standalone set out of several, made on several machines or of several datasets.

What says how windows were chosen and images encoded has to agree, because a set states it once. Teachers are united,
and hold NaN on videos of sets that lack them; videos of equal name have to be the same video, or be kept apart by
prefixes; a window that stands in several sets is kept once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tyro

from datasets.command_line import counted, progress
from datasets.errors import DataError
from datasets.transfer.format import MOST_TEACHERS
from datasets.transfer.making import counter, refuse_existing, tell
from datasets.transfer.rules import FORBIDDEN
from datasets.transfer.seal import Seal
from datasets.transfer.standalone import PIXEL_ATTRIBUTES, Advance, OpenSet, open_set, write_standalone
from datasets.transfer.union import Part, unite

_SAME: Final = {
    "beta": "Merge sets of one β: `dvc repro` makes one for each of select.betas",
    "window_length": "Build both with the same select.window_length",
    "window_stride": "Build both with the same select.window_stride",
    "windows_per_video": "Build both with the same select.windows_per_video",
    "seed": "Build both with the same select.seed",
    "absent_policy": "Build both with the same select.absent",
}
"""Attributes that a merged set states as its parts do, and what to do where they differ."""

_JOINED: Final = (
    "pool",
    "source_dataset",
    "source_split",
    "source_fingerprint",
    "frames_fingerprint",
    "created_by",
)
"""Attributes that name where something comes from: a merged set names all, with `_AND` between."""

_AND: Final = " + "


@dataclass(frozen=True)
class Merge:
    """Make one standalone set, its images inside, of several with the same β, windowing and pixel encoding.

    Example:
        python -m datasets merge all.h5 machine1/P-0.5.h5 machine2/P-0.5.h5
        python -m datasets merge both.h5 otb/P-0.5.h5 uav/P-0.5.h5 --prefix otb- uav-
    """

    out: tyro.conf.Positional[Path]
    """The file to make; one that is there is not replaced."""
    sets: tyro.conf.Positional[tuple[Path, ...]]
    """Transfer sets, standalone or beside their frames.h5."""
    prefix: tuple[str, ...] = ()
    """One for each set, put before the names of its videos: for videos of equal name that are not the same."""

    def run(self) -> int:
        """Write the file and print what it holds; 0."""
        refuse_existing(self.out)
        with progress("images") as bar:
            merged = merge(self.sets, self.out, self.prefix, counter(bar, self.out.name))
        tell(self.out, merged.seal)
        print(
            f"windows: {merged.windows:,} of {counted(merged.videos, 'video')}; "
            f"{merged.repeated:,} of those read stood in another set already"
        )
        return 0


@dataclass(frozen=True)
class Merged:
    """What was written.

    Attributes:
        seal: Of the new file.
        videos, windows: How many it holds.
        repeated: Windows of the sets that stood in a set before them, with the same content, and are kept once.
    """

    seal: Seal
    videos: int
    windows: int
    repeated: int


def merge(
    paths: Sequence[Path],
    out: Path,
    prefixes: Sequence[str] = (),
    advance: Advance = lambda _count, _total: None,
) -> Merged:
    """Write one standalone set of all windows of several sets; memory does not grow with the pixels.

    Videos stand in the order of the sets, windows by video and first frame, teachers in the order in which the sets
    first name them.

    Args:
        paths: The sets; of what several of them hold, the first one's is taken.
        out: The file to make, which appears whole or not at all.
        prefixes: Put before the video names, one for each set; none leaves all names as they are.
        advance: Told the number of images copied since the last call, and of all.

    Raises:
        DataError: If a set is missing or damaged; if two do not agree in what a set states once, or on a video or
            window of the same name that both hold.
        ValueError: If no set is named, or not one prefix for each.
    """
    if not paths:
        raise ValueError("no transfer set is named: give at least one file, as data/transfer/P-0.5.h5")
    if prefixes and len(prefixes) != len(paths):
        raise ValueError(f"--prefix: {len(prefixes)} for {len(paths)} sets: give one for each, '' for none")
    for prefix in prefixes:
        if FORBIDDEN & set(prefix):
            raise ValueError(f"--prefix {prefix!r}: a video's name holds no {' '.join(sorted(FORBIDDEN))!r}")
    with ExitStack() as files:
        sets = [files.enter_context(open_set(path)) for path in paths]
        attributes = _attributes(sets)
        parts = [Part(s, prefix) for s, prefix in zip(sets, prefixes or [""] * len(sets), strict=True)]
        tables, rows = unite(parts, attributes["teachers"])
        seal = write_standalone(out, attributes, tables, rows, advance)
    windows, read = len(tables["windows/start"]), sum(len(s.tables["windows/start"]) for s in sets)
    return Merged(seal, len(tables["videos/name"]), windows, read - windows)


def _attributes(sets: Sequence[OpenSet]) -> dict[str, Any]:
    first = sets[0]
    encoding = dict.fromkeys((a.name for a in PIXEL_ATTRIBUTES), "Build both with the same `pack` parameters")
    for other in sets[1:]:
        for name, remedy in {**_SAME, **encoding}.items():
            mine, others = first.attributes[name], other.attributes[name]
            if mine != others:
                problem = f"cannot be merged with {first.path}: its {name} is {others}, there it is {mine}"
                raise DataError(other.path, problem, remedy)
    teachers = list(dict.fromkeys(name for s in sets for name in s.attributes["teachers"]))
    if len(teachers) > MOST_TEACHERS:
        problem = f"would be one of {len(teachers)} teachers in a merged set, which counts to {MOST_TEACHERS}"
        raise DataError(sets[-1].path, problem, "Merge sets of fewer teachers")
    joined = {
        name: _AND.join(dict.fromkeys(text for s in sets for text in s.attributes[name].split(_AND) if text))
        for name in _JOINED
    }
    return {**first.attributes, **joined, "teachers": teachers}
