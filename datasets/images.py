"""Images from files: read completely, or refused by name. Teachers and transfer sets decode alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.regular import read_regular

Pixels = NDArray[np.uint8]

RGB = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB: the order in which networks are pre-trained. (OpenCV, and so teachers, use BGR.)"""

Colours = Literal["BGR", "RGB"]

Room = Callable[[tuple[int, ...]], Pixels]
"""Makes an array of a shape (H, W, 3), for an image to be decoded into."""

_FLAGS = {"BGR": cv2.IMREAD_COLOR, "RGB": cv2.IMREAD_COLOR_RGB}

_END = b"\xff\xd9"
"""JPEG's end-of-image marker."""

_REMEDY = (
    "Restore it from the dataset's archive (`python -m datasets audit` finds all such files), or exclude it"
)


def read_image(path: Path, room: Room | None = None) -> Pixels:
    """Read an image as uint8 (H, W, 3), BGR; EXIF orientation is ignored, as boxes and transfer sets ignore it.

    Args:
        path: The file.
        room: Where a JPEG is decoded, if that matters.

    Raises:
        DataError: If the file is missing, truncated, damaged, or not an image.
    """
    return _decoded(_content(path), path, "BGR", room)


def read_with_content(path: Path) -> tuple[bytes, RGB]:
    """Read an image: the file's bytes, and its pixels as `read_image` gives them, but RGB.

    Raises:
        DataError: As `read_image`.
    """
    data = _content(path)
    return data, _decoded(data, path, "RGB")


def decode_jpeg(data: bytes | memoryview, colours: Colours, out: Pixels | None = None) -> Pixels:
    """Decode a JPEG file to OpenCV's pixels, by the library that it decodes with too, in 61 to 87 % of its time.

    Decoders fill what is missing of a truncated file with grey, and a tracker would then follow grey: here every such
    file is refused. Grey images are repeated thrice, EXIF orientation is ignored.

    Args:
        data: The file's content.
        colours: Their order.
        out: uint8, (H, W, 3) or flat, memory for the result; None for new memory.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: If the data is truncated, damaged, or no JPEG, or `out` is too small.
    """
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, colours, buffer=out)
    except ValueError as error:
        # Padding between segments, which some cameras write, costs no pixel: OpenCV skips it, in a file with an end.
        if "extraneous bytes before marker" not in str(error) or _END not in bytes(data[-1024:]):
            raise
        found = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[colours] | cv2.IMREAD_IGNORE_ORIENTATION)
        if found is None:
            raise
        pixels = np.asarray(found, np.uint8)
        if out is not None:
            room = out.reshape(-1)[: pixels.size].reshape(pixels.shape)
            room[:] = pixels
            pixels = room
    return pixels


def is_jpeg(data: bytes) -> bool:
    """Tell whether a file's content starts as JPEG does."""
    return data[:3] == b"\xff\xd8\xff"


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise DataError(path, f"the image cannot be read ({error.strerror})", _REMEDY) from error


def _decoded(data: bytes, path: Path, colours: Colours, room: Room | None = None) -> Pixels:
    if not is_jpeg(data):
        flags = _FLAGS[colours] | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if image is None:
            raise DataError(path, f"this is not an image that OpenCV can read ({len(data)} bytes)", _REMEDY)
        return image  # type: ignore[return-value]  # OpenCV's stubs do not know that these flags give uint8
    try:
        out = None
        if room is not None:
            height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
            out = room((height, width, 3))
        return decode_jpeg(data, colours, out)
    except ValueError as error:
        what = "truncated" if "remature end" in str(error) else "damaged"
        raise DataError(path, f"the JPEG image is {what} ({error})", _REMEDY) from error
