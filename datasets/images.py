"""Images from files: read completely, or refused by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as uint8 (H, W, 3), BGR; EXIF orientation is ignored, as boxes and transfer sets ignore it.

    OpenCV fills what is missing of a truncated JPEG with grey and says nothing; a tracker would then follow grey.
    So a JPEG has to end as JPEGs end.

    Raises:
        DataError: If the file is missing, truncated or not an image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(path, f"the image cannot be read ({error.strerror})", _REMEDY) from error
    if is_truncated_jpeg(data):
        raise DataError(
            path, f"the JPEG is truncated: it ends after {len(data)} bytes without its end marker", _REMEDY
        )
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise DataError(path, f"this is not an image that OpenCV can read ({len(data)} bytes)", _REMEDY)
    return image  # type: ignore[return-value]  # OpenCV's stubs do not know that IMREAD_COLOR gives uint8


def is_truncated_jpeg(data: bytes) -> bool:
    """Tell whether this begins as a JPEG and lacks the end-of-image marker (padding after it is allowed)."""
    return data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:].rstrip(b"\0")[-64:]


_REMEDY = (
    "Restore it from the dataset's archive (`python -m datasets audit` finds all such files), or exclude it"
)
