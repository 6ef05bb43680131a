"""What the numbers of a transfer set have to fulfil, rule by rule; each breach is (where, what)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import is_valid, overlap
from datasets.images import decode_jpeg
from datasets.transfer.encoding import row_digest
from datasets.transfer.pixels import Pixels, Tables
from datasets.transfer.record import best_teacher, overlaps

Breach = tuple[str, str]
FORBIDDEN = frozenset("/\\\0\ufffd")
"""What no name of a video holds, because names become paths."""

_SHOWN = 20
"""Breaches of one rule that are listed one by one."""


def _each(where: str, bad: NDArray[np.bool_] | np.bool_, what: Callable[[int], str]) -> Iterator[Breach]:
    rows = np.flatnonzero(bad)
    for row in rows[:_SHOWN].tolist():
        yield f"{where} {row}", what(row)
    if len(rows) > _SHOWN:
        yield where, f"{len(rows) - _SHOWN} more like these"


def _names(where: str, names: NDArray[np.bytes_]) -> Iterator[Breach]:
    texts = [name.decode("utf-8", "replace") for name in names.tolist()]
    odd = np.array([t in {"", ".", ".."} or bool(FORBIDDEN & set(t)) for t in texts], dtype=bool)
    yield from _each(f"{where}, row", odd, lambda v: f"{texts[v]!r} is not a plain name")
    seen: dict[str, int] = {}
    again = np.array([seen.setdefault(t, v) != v for v, t in enumerate(texts)], dtype=bool)
    yield from _each(f"{where}, row", again, lambda v: f"{texts[v]!r} also stands in row {seen[texts[v]]}")


def table_rules(tables: Tables, data_bytes: int) -> Iterator[Breach]:
    """Rules of the tables of `/frames`."""
    offset, names = tables["frames/offset"], tables["frames/video_name"]
    video, index = tables["frames/video"], tables["frames/index"]
    yield from _names("frames/video_name", names)
    if offset[0] != 0 or offset[-1] != data_bytes:
        yield "frames/offset", f"runs from {offset[0]} to {offset[-1]}, not from 0 to {data_bytes}"
    text = "begins at {} and ends at {}"
    empty = np.diff(offset) <= 0
    yield from _each("frames/offset, row", empty, lambda m: text.format(offset[m], offset[m + 1]))
    unknown = (video < 0) | (video >= len(names))
    yield from _each("frames/video, row", unknown, lambda m: f"names video {video[m]} of {len(names)}")
    step = np.diff(video.astype(np.int64))
    disorder = (step < 0) | (step > 1) | ((step == 0) & (np.diff(index) <= 0))
    disorder = np.concatenate([video[:1] != 0, disorder])
    order = "video {}, frame {} does not follow the row before it"
    yield from _each("frames/index, row", disorder, lambda m: order.format(video[m], index[m]))
    yield from _each("frames/index, row", index < 0, lambda m: f"frame {index[m]} is negative")
    yield from _window_rules(tables)


def _window_rules(tables: Tables) -> Iterator[Breach]:
    window, size, image = (tables[f"frames/{name}"] for name in ("window", "size", "image_size"))
    with np.errstate(invalid="ignore"):
        inside = is_valid(window) & (window[:, :2] >= 0).all(axis=1) & (size >= 1).all(axis=1)
        inside &= (window[:, :2].astype(np.float64) + window[:, 2:] <= image).all(axis=1)
    text = "{}, stored as {}, is no part of an image of {}"
    yield from _each(
        "frames/window, row",
        ~inside,
        lambda m: text.format(window[m].tolist(), size[m].tolist(), image[m].tolist()),
    )


def pixel_rules(pixels: Pixels, advance: Callable[[int], None]) -> Iterator[Breach]:
    """Rules of the stored images: each has its digest, decodes, and has the size stated."""
    digest, size = pixels.tables["frames/digest"], pixels.tables["frames/size"]
    for m in range(len(pixels)):
        data = pixels.read(m, 1)[0]
        where = f"frames/data, row {m}"
        if not np.array_equal(row_digest(data), digest[m]):
            yield where, "the JPEG file changed since it was written (its digest differs)"
        else:
            yield from ((where, what) for what in _jpeg(data, size[m].tolist()))
        advance(1)


def _jpeg(data: memoryview, size: list[int]) -> Iterator[str]:
    try:
        height, width = decode_jpeg(data, "RGB").shape[:2]
    except ValueError as error:
        yield f"does not decode ({error})"
        return
    if [width, height] != size:
        yield f"decodes to {width} x {height}, frames/size says {size[0]} x {size[1]}"


def set_rules(attributes: Mapping[str, Any], tables: Tables, frames: Tables) -> Iterator[Breach]:
    """Rules of a set's windows, boxes and overlaps."""
    length, names = tables["videos/length"], tables["videos/name"]
    video, start, rows = tables["windows/video"], tables["windows/start"], tables["windows/frame"]
    L, K = attributes["window_length"], len(attributes["teachers"])
    yield from _names("videos/name", names)
    if not 0 <= attributes["beta"] < 1:
        yield "attribute beta", f"{attributes['beta']} is not in [0, 1)"
    if attributes["absent_policy"] not in ("fail", "ignore"):
        yield "attribute absent_policy", f"{attributes['absent_policy']!r} is neither 'fail' nor 'ignore'"
    if tables["overlap/iou"].shape[1:] != (L, K):
        yield "overlap/iou", f"has shape {list(tables['overlap/iou'].shape)}, for {L} frames, {K} teachers"
        return
    unknown = (video < 0) | (video >= len(names))
    yield from _each("windows/video, window", unknown, lambda n: f"names video {video[n]} of {len(names)}")
    lost = ((rows < 0) | (rows >= len(frames["frames/index"]))).any(axis=1)
    yield from _each(
        "windows/frame, window", lost, lambda n: f"rows {rows[n, 0]} ... {rows[n, -1]} are not there"
    )
    if unknown.any() or lost.any():
        return
    outside = (start < 0) | (start.astype(np.int64) + L > length[video])
    text = "starts at {} in a video of {} frames, and has {}"
    yield from _each("windows/start, window", outside, lambda n: text.format(start[n], length[video[n]], L))
    t = start[:, None].astype(np.int64) + np.arange(L)
    same_video = frames["frames/video_name"][frames["frames/video"][rows]] == names[video][:, None]
    strayed: NDArray[np.bool_] = ~same_video | (frames["frames/index"][rows] != t)
    strayed[:, 1:] |= np.diff(rows, axis=1) != 1
    message = "its rows of /frames are not its frames of its video, one after the other"
    yield from _each("windows/frame, window", strayed.any(axis=1), lambda n: message)
    yield from _box_rules(attributes["absent_policy"], tables, t)
    yield from _overlap_rules(attributes, tables, t)


def _box_rules(absent_policy: str, tables: Tables, t: NDArray[np.int64]) -> Iterator[Breach]:
    truth, teacher = tables["boxes/ground_truth"], tables["boxes/teacher"]
    absent, video = tables["boxes/absent"], tables["windows/video"]
    odd = (absent > 1).any(axis=1)
    yield from _each("boxes/absent, window", odd, lambda n: "holds other values than 0 and 1")
    unmarked = (~is_valid(truth) & (absent == 0)).any(axis=1)
    where = "boxes/ground_truth, window"
    yield from _each(where, unmarked, lambda n: "has no valid box in a frame that is not marked absent")
    if absent_policy == "fail":
        gone = ((absent == 1) & (t > 0)).any(axis=1)
        where = "boxes/absent, window"
        yield from _each(where, gone, lambda n: "has an absent frame, though absent_policy is 'fail'")
    nothing = np.asarray(np.isnan(teacher).all(axis=-1))
    finite = np.asarray(np.isfinite(teacher).all(axis=-1))
    positive = ~np.asarray(nothing.all(axis=1))
    partial = (positive[:, None] & ~finite).any(axis=(1, 2))
    where = "boxes/teacher, window"
    yield from _each(where, partial, lambda n: "a teacher's boxes are neither all finite nor all NaN")
    yield from _each(where, ~positive.any(axis=1), lambda n: "no teacher is positive")
    first = np.unique(video, return_index=True)[1][np.unique(video, return_inverse=True)[1]]
    changed = (positive != positive[first]).any(axis=1)
    text = "other teachers are positive than in window {} of the same video"
    yield from _each(where, changed, lambda n: text.format(first[n]))


def _overlap_rules(attributes: Mapping[str, Any], tables: Tables, t: NDArray[np.int64]) -> Iterator[Breach]:
    truth, teacher = tables["boxes/ground_truth"], tables["boxes/teacher"]
    iou, best, beta = tables["overlap/iou"], tables["overlap/best"], attributes["beta"]
    expected = overlaps(truth, teacher)
    other = ~((iou == expected) | (np.isnan(iou) & np.isnan(expected))).all(axis=(1, 2))
    where = "overlap/iou, window"
    yield from _each(where, other, lambda n: "is not the overlap of boxes/teacher with boxes/ground_truth")
    wrong = best != best_teacher(expected)
    place = wrong.argmax(axis=1) if wrong.size else wrong
    text = "frame {} says teacher {}, the overlaps say {}"
    yield from _each(
        "overlap/best, window",
        wrong.any(axis=1),
        lambda n: text.format(place[n], best[n, place[n]], best_teacher(expected[n, place[n]])),
    )
    # β is compared in full precision, as the pipeline does, not with what float32 keeps.
    exact = overlap(truth[:, :, None, :], teacher)
    counted = (t > 0) & ((attributes["absent_policy"] == "fail") | (tables["boxes/absent"] == 0))
    judged = counted[..., None] & ~np.isnan(teacher).any(axis=-1)
    least = np.where(judged, exact, np.inf).min(axis=(1, 2), initial=np.inf)
    low = "a positive teacher's overlap falls to {:.6f}, not above β = {}"
    yield from _each(where, least <= beta, lambda n: low.format(least[n], beta))
