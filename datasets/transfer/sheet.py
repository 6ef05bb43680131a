"""Contact sheets of windows: tiles side by side with the boxes in them, the overlaps beneath, a legend on top."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets.boxes import Boxes, is_valid
from datasets.images import RGB
from datasets.transfer.outlines import outline
from datasets.transfer.tile import Tile
from datasets.transfer.window import Window

_PAGE, _INK, _MUTED, _NOTHING = (255, 255, 255), (28, 34, 38), (91, 102, 110), (205, 208, 208)
_MARGIN, _GAP, _LINE, _TEXT = 16, 12, 20, 13
_ENTRY = 58
"""Width of one overlap beneath a tile: swatch, number, space."""
_SWATCH, _SPACE = 32, 20
"""Widths in the legend: a swatch with its space, and what follows a name."""


def page(title: str, teachers: Sequence[str], windows: Sequence[Sequence[Tile]], side: int) -> RGB:
    """Draw a sheet.

    Args:
        title: Its first line.
        teachers: K names, for the legend.
        windows: Tiles of one window side by side, one window below the other; at least one.
        side: Longer side of a tile, pixels.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DataError: If a stored JPEG file is damaged.
    """
    width = 2 * _MARGIN + max(map(len, windows)) * (side + _GAP) - _GAP
    bands = [_header(title, teachers, width), *(_band(shown, side, width) for shown in windows)]
    return np.concatenate([np.asarray(band) for band in bands])


def _header(title: str, teachers: Sequence[str], width: int) -> Image.Image:
    limit = width - 2 * _MARGIN
    names = [_shortened(name, limit - _SWATCH) for name in ("ground truth", *teachers)]
    names.append(_shortened("overlaps beneath, the best in bold", limit))
    places, x, line = [], 0, 1
    for name in names:
        needed = _SWATCH + round(_font().getlength(name))
        if x and x + needed > limit:
            x, line = 0, line + 1
        places.append((_MARGIN + x, _MARGIN + line * _LINE + 4))
        x += needed + _SPACE
    band = Image.new("RGB", (width, _MARGIN + (line + 1) * _LINE + 10), _PAGE)
    draw = ImageDraw.Draw(band)
    draw.text((_MARGIN, _MARGIN - 2), _shortened(title, limit, bold=True), _INK, _font(bold=True))
    for k, (name, (x, y)) in enumerate(zip(names, places, strict=True)):
        if k <= len(teachers):
            outline(draw, (k - 1 if k else None, (x + 1, y + 1, 22, 13)))
            draw.text((x + _SWATCH, y), name, _INK, _font())
        else:
            draw.text((x, y), name, _MUTED, _font())
    return band


def _band(shown: Sequence[Tile], side: int, width: int) -> Image.Image:
    window = shown[0].window
    positive = window.positive.tolist()
    in_line = max(side // _ENTRY, 1)
    lines = 1 + -(-len(positive) // in_line)
    above, height = _LINE + 4, round(float(shown[0].size[1]))
    band = Image.new("RGB", (width, above + height + 6 + lines * _LINE + _GAP), _PAGE)
    draw = ImageDraw.Draw(band)
    draw.text((_MARGIN, 2), _shortened(_described(window), width - 2 * _MARGIN), _INK, _font())
    for column, tile in enumerate(shown):
        left, below = _MARGIN + column * (side + _GAP), above + height + 4
        band.paste(draw_tile(tile), (left, above))
        absent = ", target absent" if window.absent[tile.t] else ""
        draw.text((left, below), f"frame {window.start + tile.t}{absent}", _MUTED, _font())
        for place, k in enumerate(positive):
            x, y = left + place % in_line * _ENTRY, below + (1 + place // in_line) * _LINE
            outline(draw, (k, (x + 1, y + 3, 14, 9)))
            best = int(window.best[tile.t]) == k
            draw.text((x + 21, y), f"{window.iou[tile.t, k]:.2f}", _INK if best else _MUTED, _font(best))
    return band


def draw_tile(tile: Tile) -> Image.Image:
    """One frame: what is stored of it on grey, the ground truth, every positive teacher's box.

    Raises:
        DataError: If the stored JPEG file is damaged.
    """
    width, height = np.rint(tile.size).astype(int).tolist()
    drawn = Image.new("RGB", (width, height), _NOTHING)
    picture = tile.picture()
    if picture is not None:
        pixels, (x, y, *_) = picture
        drawn.paste(Image.fromarray(pixels), (round(x), round(y)))
    draw = ImageDraw.Draw(drawn)
    window, t = tile.window, tile.t
    boxes: list[tuple[int | None, Boxes, bool]] = [(None, window.ground_truth[t], not window.absent[t])]
    boxes += [(k, box, bool(is_valid(box))) for k, box in enumerate(window.teacher[t])]
    outline(draw, *((k, tuple(tile.place(box).tolist())) for k, box, there in boxes if there))
    return drawn


def _described(window: Window) -> str:
    """A window in one line: what it shows, and which teacher is best in how many of its frames."""
    kind = f" ({window.object_class})" if window.object_class else ""
    number, count = np.unique(window.best, return_counts=True)
    best = [f"{window.teachers[number[i]]} in {count[i]}" for i in np.argsort(-count, kind="stable")]
    frames = f"frames {window.start} to {window.start + len(window) - 1}"
    return f"window {window.index}: {window.video}{kind}, {frames}; best: {', '.join(best)} of {len(window)}"


@cache
def _font(bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has the letters of most languages; matplotlib brings it along."""
    file = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / file), _TEXT)


def _shortened(text: str, limit: int, bold: bool = False) -> str:
    """A text that is no wider than `limit` pixels, in one line."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    cut = text
    while cut and _font(bold).getlength(cut) > limit:
        text = text[:-1]
        cut = text + "…"
    return cut
