"""Contact sheets: some frames of some windows of a transfer set, with the ground truth and the teachers' boxes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg
from markupsafe import Markup, escape

from datasets.boxes import centres
from datasets.transfer.reader import TransferReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from datasets.transfer.window import Window

WINDOWS = 6
"""Windows shown, each of another video."""

TILES = 4
"""Frames shown of each."""

SIDE = 200
"""Longer side of a tile, pixels."""

CONTEXT = 2.4
"""Width and height of what a tile shows, in those of the target."""

SLIMMEST = 0.75
"""Shorter side of a tile over its longer one, at least: tiles stay alike where targets are not."""

QUALITY = 80


@dataclass(frozen=True)
class Sheet:
    """One window as tiles.

    Attributes:
        video, object_class: Of what.
        teachers: Those that are positive on the video.
        tiles: (frame of the video, picture).
    """

    video: str
    object_class: str
    teachers: list[str]
    tiles: list[tuple[int, Markup]]


def contact_sheets(path: Path, styles: Mapping[str, str]) -> list[Sheet]:
    """Draw windows spread evenly over the videos of a set.

    Args:
        path: The transfer set.
        styles: Class of each teacher's boxes in the style sheet.

    Raises:
        DataError: If the set, or the file of its pixels, is missing or damaged.
    """
    with TransferReader(path) as reader:
        _, first = np.unique(reader.content.window_video, return_index=True)
        chosen = (
            first[np.unique(np.linspace(0, len(first) - 1, WINDOWS).round().astype(int))]
            if len(first)
            else []
        )
        return [_sheet(reader[int(n)], styles) for n in chosen]


def _sheet(window: Window, styles: Mapping[str, str]) -> Sheet:
    positive: NDArray[np.bool_] = np.isfinite(window.teacher[0]).all(axis=-1)
    shown = np.linspace(0, len(window) - 1, TILES).round().astype(int).tolist()
    # One scale for the whole window, so that a target that grows is seen to grow.
    largest = window.ground_truth[~window.absent][:, 2:].max(axis=0, initial=8) * CONTEXT
    view = np.maximum(largest, largest.max() * SLIMMEST).astype(np.float64)
    tiles = [(window.start + t, _tile(window, t, view, styles, positive)) for t in shown]
    names = [name for name, there in zip(window.teachers, positive, strict=True) if there]
    return Sheet(window.video, window.object_class, names, tiles)


def _tile(
    window: Window,
    t: int,
    view: NDArray[np.float64],
    styles: Mapping[str, str],
    positive: NDArray[np.bool_],
) -> Markup:
    """One frame: the stored pixels around the target, and the boxes as lines over them.

    Args:
        window: Whose frame.
        t: Which of its frames.
        view: Width and height of what is shown, source pixels.
        styles: Class of each teacher.
        positive: bool (K,), the teachers to show.
    """
    truth = window.ground_truth[t]
    corner = centres(window.best_boxes()[t] if window.absent[t] else truth) - view / 2
    scale = SIDE / view.max()
    boxes, words = [], []
    for k in np.flatnonzero(positive):
        boxes.append((styles[window.teachers[k]], window.teacher[t, k]))
        words.append(f"{window.teachers[k]} overlap {window.iou[t, k]:.2f}")
    if not window.absent[t]:
        boxes.append(("truth", truth))
    rects = []
    for style, box in boxes:
        place = _place(np.concatenate([box[:2] - corner, box[2:]]) * scale)
        rects.append(f'<rect class="casing" {place}/><rect class="{style} box" {place}/>')
    width, height = (view * scale).tolist()
    alt = f"{window.video}, frame {window.start + t}: " + ", ".join(words)
    return Markup(  # noqa: S704 - the video's and the teachers' names are escaped
        f'<svg viewBox="0 0 {width:.1f} {height:.1f}" role="img" aria-label="{escape(alt)}">'
        f"{_picture(window, t, corner, view, scale)}{''.join(rects)}</svg>"
    )


def _picture(
    window: Window, t: int, corner: NDArray[np.float64], view: NDArray[np.float64], scale: float
) -> str:
    """What the set has of the view, where it lies in the tile; nothing where it has none of it."""
    image, region = window.image(t), window.regions[t].astype(np.float64)
    stored = np.array(image.shape[1::-1]) / region[2:]
    low = np.clip(np.floor((corner - region[:2]) * stored), 0, image.shape[1::-1]).astype(int)
    high = np.clip(np.ceil((corner + view - region[:2]) * stored), 0, image.shape[1::-1]).astype(int)
    if (low >= high).any():
        return ""
    part = image[low[1] : high[1], low[0] : high[0]]
    size = np.maximum(np.rint((high - low) / stored * scale), 1).astype(int).tolist()
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    jpeg = base64.b64encode(simplejpeg.encode_jpeg(np.ascontiguousarray(small), QUALITY)).decode()
    start = (low / stored + region[:2] - corner) * scale
    place = _place(np.concatenate([start, (high - low) / stored * scale]))
    return f'<image preserveAspectRatio="none" {place} href="data:image/jpeg;base64,{jpeg}"/>'


def _place(box: NDArray[np.float64]) -> str:
    x, y, w, h = box.tolist()
    return f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
