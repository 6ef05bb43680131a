"""Contact sheets: some frames of some windows of a transfer set, with the ground truth and the teachers' boxes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from markupsafe import Markup, escape

from datasets.transfer.reader import TransferReader
from datasets.transfer.tile import Tile, spread, tiles

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
        return [_sheet(reader[int(first[n])], styles) for n in spread(len(first), WINDOWS)]


def _sheet(window: Window, styles: Mapping[str, str]) -> Sheet:
    shown = tiles(window, spread(len(window), TILES), SIDE, CONTEXT)
    names = [window.teachers[k] for k in window.positive]
    drawn = [(window.start + tile.t, _drawn(tile, styles)) for tile in shown]
    return Sheet(window.video, window.object_class, names, drawn)


def _drawn(tile: Tile, styles: Mapping[str, str]) -> Markup:
    """One frame: the stored pixels around the target, and the boxes as lines over them."""
    window, t = tile.window, tile.t
    boxes, words = [], []
    for k in window.positive:
        boxes.append((styles[window.teachers[k]], window.teacher[t, k]))
        words.append(f"{window.teachers[k]} overlap {window.iou[t, k]:.2f}")
    if not window.absent[t]:
        boxes.append(("truth", window.ground_truth[t]))
    rects = []
    for style, box in boxes:
        place = _place(tile.place(box))
        rects.append(f'<rect class="casing" {place}/><rect class="{style} box" {place}/>')
    width, height = tile.size.tolist()
    alt = f"{window.video}, frame {window.start + t}: " + ", ".join(words)
    return Markup(  # noqa: S704 - the video's and the teachers' names are escaped
        f'<svg viewBox="0 0 {width:.1f} {height:.1f}" role="img" aria-label="{escape(alt)}">'
        f"{_picture(tile)}{''.join(rects)}</svg>"
    )


def _picture(tile: Tile) -> str:
    """What the set has of the view, where it lies in the tile; nothing where it has none of it."""
    picture = tile.picture()
    if picture is None:
        return ""
    pixels, place = picture
    jpeg = base64.b64encode(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY)).decode()
    return f'<image preserveAspectRatio="none" {_place(place)} href="data:image/jpeg;base64,{jpeg}"/>'


def _place(box: NDArray[np.float64]) -> str:
    x, y, w, h = box.tolist()
    return f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
