"""Images of source videos, read and decoded with errors that name the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.images import is_jpeg

RGB = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB: the order in which networks are pre-trained. (OpenCV, and so teachers, use BGR.)"""

_REMEDY = (
    "Restore the image from a copy of the dataset; `python -m datasets audit` lists all that are unreadable"
)


def decode(data: bytes | memoryview, out: NDArray[np.uint8] | None = None) -> RGB:
    """Decode a JPEG file to uint8 (H, W, 3), RGB; grey is repeated thrice, EXIF orientation is ignored.

    Args:
        data: The file's content.
        out: uint8 (H * W * 3,), memory for the result; None for new memory.

    Raises:
        ValueError: If the data is truncated, damaged, or no JPEG, or `out` is too small.
    """
    try:
        image: RGB = simplejpeg.decode_jpeg(data, "RGB", buffer=out)
    except ValueError as error:
        # Padding between segments, which some cameras write and every decoder skips, costs no pixel.
        if "extraneous bytes before marker" not in str(error):
            raise
        image = simplejpeg.decode_jpeg(data, "RGB", buffer=out, strict=False)
    return image


def read_image(path: Path) -> tuple[bytes, RGB]:
    """Read an image file: its bytes, and its pixels as uint8 (H, W, 3), RGB; EXIF orientation is ignored.

    JPEG is decoded by libjpeg-turbo; PNG, BMP and what else OpenCV knows, by OpenCV.

    Raises:
        DataError: If the file is missing, truncated, damaged, or not an image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(path, f"the image cannot be read ({error.strerror})", _REMEDY) from error
    if not is_jpeg(data):
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if pixels is None:
            raise DataError(path, f"{len(data)} bytes that are no image", _REMEDY)
        return data, np.asarray(pixels, dtype=np.uint8)
    try:
        return data, decode(data)
    except ValueError as error:
        raise DataError(path, f"the JPEG image is damaged ({error})", _REMEDY) from error
