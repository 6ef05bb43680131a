"""The union of transfer sets: which videos, windows and images of several are the same, held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.transfer.format import ARRAYS
from datasets.transfer.keyed import FRAME, Keyed, keys_of
from datasets.transfer.pixels import Tables
from datasets.transfer.record import best_teacher, overlaps
from datasets.transfer.standalone import OpenSet, Rows

_APART = "If these are different videos, keep them apart with --prefix"
_REBUILD = f"{_APART}; else build both again from the same data"


@dataclass(frozen=True, eq=False)
class Part:
    """One of the sets, and the names that its videos have in the union.

    Attributes:
        opened: The set.
        prefix: What stands before its videos' own names.
    """

    opened: OpenSet
    prefix: str

    def names(self, array: NDArray[np.bytes_]) -> list[str]:
        """Names of videos in the union."""
        return [self.prefix + name.decode() for name in array.tolist()]


def unite(parts: Sequence[Part], teachers: Sequence[str]) -> tuple[Tables, Rows]:
    """All windows of several sets, each once, and the images that they need.

    Args:
        parts: The sets, of which several may hold a window; all windows have one length.
        teachers: Every teacher of every set, in the order wanted.

    Returns:
        What `write_standalone` wants: tables, and where the images come from.

    Raises:
        DataError: If two sets hold a video of the same name that is not the same, or a window with other boxes; or
            if a teacher is positive on some windows of a video, and not on others.
    """
    numbers, tables = _videos(parts)
    frames = _frames(parts, numbers)
    for array in ("digest", "window", "size", "image_size"):
        values = Rows([p.opened.pixels for p in parts], frames.source, frames.row).gathered(f"frames/{array}")
        _refuse(frames.differing(values), frames, parts, list(numbers), "is stored otherwise")
    _check_sources(parts, list(numbers), frames)
    tables |= _windows(parts, numbers, teachers)
    used = frames.key[frames.first]
    start = np.searchsorted(used, keys_of(tables["windows/video"], tables["windows/start"]))
    tables["windows/frame"] = start[:, None] + np.arange(tables["boxes/ground_truth"].shape[1])
    tables |= {"frames/video": used >> 32, "frames/video_name": tables["videos/name"]}
    rows = Rows([p.opened.pixels for p in parts], frames.source[frames.first], frames.row[frames.first])
    return tables, rows


def _videos(parts: Sequence[Part]) -> tuple[dict[str, int], Tables]:
    """Numbers of the videos that have windows, in the order of the sets, and the arrays of /videos."""
    numbers: dict[str, int] = {}
    found: dict[str, list[Any]] = {
        a.name: [] for a in ARRAYS if a.shape[0] == "V" and a.name != "videos/name"
    }
    holder: list[Part] = []
    for part in parts:
        own = part.opened.tables
        names = part.names(own["videos/name"])
        for v in np.unique(own["windows/video"]).tolist():
            n = numbers.setdefault(names[v], len(numbers))
            if n == len(holder):
                holder.append(part)
                for array, values in found.items():
                    values.append(own[array][v])
            for array, values in found.items():
                if own[array][v] != values[n]:
                    problem = f"{array}, row {v}: {own[array][v]} for video {names[v]!r}, {values[n]} in "
                    raise DataError(part.opened.path, f"{problem}{holder[n].opened.path}", _REBUILD)
    text = np.array([name.encode() for name in numbers], dtype=np.bytes_)
    return numbers, {"videos/name": text, **{array: np.array(values) for array, values in found.items()}}


def _frames(parts: Sequence[Part], numbers: dict[str, int]) -> Keyed:
    """The images that the windows need."""
    keys, rows = [], []
    for part in parts:
        old = part.opened.pixels.tables
        needed = np.unique(part.opened.tables["windows/frame"])
        number = np.array(
            [numbers.get(name, -1) for name in part.names(old["frames/video_name"])], dtype=np.int64
        )
        keys.append(keys_of(number[old["frames/video"][needed]], old["frames/index"][needed]))
        rows.append(needed)
    return Keyed.of(keys, rows)


def _check_sources(parts: Sequence[Part], names: Sequence[str], frames: Keyed) -> None:
    """See that videos of equal name from different data are the same: an image in common shows it."""
    prints = [part.opened.attributes["source_fingerprint"] for part in parts]
    if len(set(prints)) == 1:
        return
    bounds = np.searchsorted(frames.key, np.arange(len(names) + 1) << 32).tolist()
    for n, name in enumerate(names):
        key, source = (array[bounds[n] : bounds[n + 1]] for array in (frames.key, frames.source))
        first, *others = np.unique(source).tolist()
        for p in others:
            alike = [q for q in (first, *others) if q < p and prints[q] == prints[p]]
            if not alike and not np.isin(key[source == p], key[source < p]).any():
                problem = (
                    f"holds a video {name!r}, as {parts[first].opened.path} does, but they are made from different "
                    "data (source_fingerprint) and have no image in common, so nothing tells whether it is the same"
                )
                raise DataError(parts[p].opened.path, problem, _APART)


def _windows(parts: Sequence[Part], numbers: dict[str, int], teachers: Sequence[str]) -> Tables:
    """The arrays of /windows, /boxes and /overlap but windows/frame."""
    keys = []
    for part in parts:
        own = part.opened.tables
        number = np.array([numbers.get(name, -1) for name in part.names(own["videos/name"])], dtype=np.int64)
        keys.append(keys_of(number[own["windows/video"]], own["windows/start"]))
    windows = Keyed.of(keys, [np.arange(len(key)) for key in keys])
    twice = np.flatnonzero(~windows.first[1:] & (np.diff(windows.source) == 0))
    names = list(numbers)
    if len(twice):
        _refuse(int(twice[0]) + 1, windows, parts, names, "begins a second window")
    tables: Tables = {}
    first = np.cumsum([0, *map(len, keys)])[windows.source] + windows.row
    for array in ("boxes/ground_truth", "boxes/absent"):
        values = np.concatenate([part.opened.tables[array] for part in parts])[first]
        _refuse(windows.differing(values), windows, parts, names, f"begins a window of other {array}")
        tables[array] = values[windows.first]
    used = windows.key[windows.first]
    tables["windows/video"], tables["windows/start"] = used >> 32, used & FRAME
    tables["boxes/teacher"] = _teachers(parts, windows, names, teachers)
    tables["overlap/iou"] = overlaps(tables["boxes/ground_truth"], tables["boxes/teacher"])
    tables["overlap/best"] = best_teacher(tables["overlap/iou"])
    return tables


def _teachers(
    parts: Sequence[Part], windows: Keyed, names: Sequence[str], teachers: Sequence[str]
) -> NDArray[np.float32]:
    """Every teacher's boxes, float32 (N, L, K, 4), from whichever sets have that teacher; else NaN."""
    number = np.cumsum(windows.first) - 1
    length = parts[0].opened.attributes["window_length"]
    boxes = np.full((int(windows.first.sum()), length, len(teachers), 4), np.nan, np.float32)
    for k, teacher in enumerate(teachers):
        having = [p for p, part in enumerate(parts) if teacher in part.opened.attributes["teachers"]]
        among = np.isin(windows.source, having)
        held = windows.only(among)
        values = np.empty((len(held.key), length, 4), np.float32)
        for p in having:
            column = parts[p].opened.attributes["teachers"].index(teacher)
            here = held.source == p
            values[here] = parts[p].opened.tables["boxes/teacher"][held.row[here], :, column]
        _refuse(held.differing(values), held, parts, names, f"begins a window of other boxes of {teacher}")
        boxes[number[among][held.first], :, k] = values[held.first]
    _check_positive(parts, windows, names, teachers, np.isfinite(boxes[:, 0, :, 0]))
    return boxes


def _check_positive(
    parts: Sequence[Part],
    windows: Keyed,
    names: Sequence[str],
    teachers: Sequence[str],
    positive: NDArray[np.bool_],
) -> None:
    """See that a teacher is positive, bool (N, K), on all windows of a video or on none, as the format has it."""
    key, source = windows.key[windows.first], windows.source[windows.first]
    first = np.searchsorted(key >> 32, key >> 32)
    changed = np.argwhere(positive != positive[first])
    if len(changed):
        n, k = changed[0].tolist()
        there, lacking = (n, first[n]) if positive[n, k] else (first[n], n)
        problem = (
            f"its window at frame {key[lacking] & FRAME} of video {names[key[n] >> 32]!r} has no boxes of "
            f"{teachers[k]}, which is positive on the window at frame {key[there] & FRAME} in "
            f"{parts[source[there]].opened.path}, and has to be on all of a video or on none"
        )
        remedy = f"Merge sets that have the same windows of the videos that they share. {_APART}"
        raise DataError(parts[source[lacking]].opened.path, problem, remedy)


def _refuse(place: int | None, order: Keyed, parts: Sequence[Part], names: Sequence[str], what: str) -> None:
    """Raise where what stands at a place is at odds with what stands before it."""
    if place is not None:
        video, frame = names[order.key[place] >> 32], order.key[place] & FRAME
        path, other = (parts[order.source[p]].opened.path for p in (place, place - 1))
        raise DataError(path, f"frame {frame} of video {video!r} {what} in {other}", _REBUILD)
