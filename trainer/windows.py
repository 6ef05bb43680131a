"""The windows of one or several transfer sets, checked, and split into those to learn from and those held out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from datasets.boxes import Boxes, is_valid
from datasets.command_line import counted
from datasets.errors import DataError
from datasets.transfer.reader import TransferReader
from datasets.transfer.window import Window

_VALIDATE = "Run `python -m datasets validate` on it, and build it again with `dvc repro`"


@dataclass(frozen=True, eq=False, repr=False)
class Windows:
    """N windows of L frames.

    Attributes:
        readers: The sets.
        reader: int (N,), which set each window lies in.
        index: int (N,), its number there.
        videos: N video names.
        truth: float32 (N, L, 4), ground truth, (x, y, w, h) in source pixels.
        target: float32 (N, L, 4), the best teacher's boxes (Eq. 4).
        present: bool (N, L), the target is in the frame and its box valid.
    """

    readers: tuple[TransferReader, ...]
    reader: NDArray[np.int64]
    index: NDArray[np.int64]
    videos: tuple[str, ...]
    truth: Boxes
    target: Boxes
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        """N."""
        return len(self.index)

    def __repr__(self) -> str:
        """What a user asks first."""
        return f"Windows({len(self)} of {self.length} frames, {len(set(self.videos))} videos)"

    @property
    def length(self) -> int:
        """L."""
        return int(self.truth.shape[1])

    def window(self, n: int) -> Window:
        """Window n, whose images are read when asked for."""
        found: Window = self.readers[int(self.reader[n])][int(self.index[n])]
        return found

    def subset(self, rows: NDArray[np.int64]) -> Windows:
        """Some of the windows."""
        return replace(
            self,
            reader=self.reader[rows],
            index=self.index[rows],
            videos=tuple(self.videos[n] for n in rows.tolist()),
            truth=self.truth[rows],
            target=self.target[rows],
            present=self.present[rows],
        )

    def close(self) -> None:
        """Close the sets' files."""
        for reader in self.readers:
            reader.close()


def open_windows(paths: Sequence[Path]) -> Windows:
    """Open transfer sets as one.

    Windows whose first frame lacks the target are left out: no interaction can begin there. Where one of the sets is
    refused, none stays open.

    Raises:
        DataError: If a set is none of this version, lacks its pixels, holds boxes that are neither valid nor
            marked absent, names a video or a teacher that it does not have, has windows of one frame or of another
            length than the first, or no positive window at all.
        ValueError: If no set is named.
    """
    if not paths:
        raise ValueError("no transfer set is named: give at least one file, as data/transfer/P-0.5.h5")
    with ExitStack() as opened:
        windows = _joined([opened.enter_context(TransferReader(path)) for path in paths])
        opened.pop_all()
    return windows


def _joined(readers: Sequence[TransferReader]) -> Windows:
    length = readers[0].content.provenance.window_length
    if length < 2:
        problem = f"its windows have {length} frame: nothing moves in them"
        raise DataError(readers[0].path, problem, "Build the set with select.window_length 32, as the paper")
    for reader in readers:
        other = reader.content.provenance.window_length
        if other != length:
            problem = f"its windows have {other} frames, those of {readers[0].path} have {length}"
            raise DataError(reader.path, problem, "Learn from sets of one length at a time")
        _check(reader)
    if not sum(map(len, readers)):
        problem = f"has no window: no trajectory above β has {length} frames"
        remedy = "Choose a smaller β, a smaller select.window_length, other teachers or more videos"
        raise DataError(readers[0].path, problem, remedy)
    counts = [len(reader) for reader in readers]
    contents = [reader.content for reader in readers]
    best = [np.stack([w.best_boxes() for w in r]) if len(r) else r.content.ground_truth for r in readers]
    whole = Windows(
        tuple(readers),
        np.repeat(np.arange(len(readers)), counts),
        np.concatenate([np.arange(n) for n in counts]),
        tuple(c.video_name[v] for c in contents for v in c.window_video.tolist()),
        np.concatenate([c.ground_truth for c in contents]),
        np.concatenate(best),
        np.concatenate([~c.absent for c in contents]),
    )
    usable = np.flatnonzero(whole.present[:, 0])
    if not len(usable):
        raise DataError(readers[0].path, "no window has its target in its first frame", _VALIDATE)
    return whole.subset(usable)


def _check(reader: TransferReader) -> None:
    c = reader.content
    # A faulty writer's file is sealed like any other, and these numbers are looked up in lists.
    _counts(reader, "windows/video", c.window_video, len(c.video_name))
    best = [window.best for window in reader]
    _counts(reader, "overlap/best", np.array(best), len(c.provenance.teachers))
    odd = (~is_valid(c.ground_truth) & ~c.absent).any(axis=1)
    blank: NDArray[np.bool_] = np.asarray(np.isnan(c.teacher).all(axis=(1, 3)))  # (N, K)
    lost = (~blank[:, None] & ~is_valid(c.teacher)).any(axis=(1, 2))
    none = blank.all(axis=1)
    for bad, what in (
        (odd, "its ground truth is not a valid box in a frame that is not marked absent"),
        (lost, "a positive teacher's boxes are not all finite, with a positive size"),
        (none, "no teacher is positive"),
    ):
        if bad.any():
            n = int(bad.argmax())
            name = c.video_name[int(c.window_video[n])]
            raise DataError(reader.path, f"window {n} (video {name}): {what}", _VALIDATE)


def _counts(reader: TransferReader, name: str, numbers: NDArray[np.integer[Any]], count: int) -> None:
    """See that an array, one row per window, holds numbers from 0 to below `count`."""
    bad = (numbers < 0) | (numbers >= count)
    if bad.any():
        place = tuple(np.argwhere(bad)[0].tolist())
        frame = f", frame {place[1]}" if len(place) > 1 else ""
        problem = f"/{name}, window {place[0]}{frame}: {numbers[place]} is not a number from 0 to {count - 1}"
        raise DataError(reader.path, problem, _VALIDATE)


def held_out(videos: Sequence[str], share: float) -> NDArray[np.bool_]:
    """Tell which videos are held out: a share of all, drawn by a hash of the name, the same for every seed and set.

    Where a small set has none of these, the video of the smallest hash is held out (for any share above 0).
    """
    draws = {name: int.from_bytes(blake3(f"held out/{name}".encode()).digest(4), "little") for name in videos}
    limit = max(int(share * 2**32), min(draws.values(), default=0) + 1) if share else 0
    return np.array([draws[name] < limit for name in videos], dtype=np.bool_)


def split(windows: Windows, share: float) -> tuple[Windows, Windows]:
    """Windows to learn from, and windows of held-out videos.

    Raises:
        ValueError: If either side is empty, though a share is asked for.
    """
    out = held_out(windows.videos, share)
    learn, test = windows.subset(np.flatnonzero(~out)), windows.subset(np.flatnonzero(out))
    if share and not (len(learn) and len(test)):
        videos = len(set(windows.videos))
        change = "change validation.share" if videos > 1 else "set validation.share to 0"
        raise ValueError(
            f"holding out {share:.0%} of {counted(videos, 'video')} leaves {len(learn)} windows to learn "
            f"from and {len(test)} to validate on: {change}, or name validation.videos"
        )
    return learn, test
