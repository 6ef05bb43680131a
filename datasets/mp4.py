"""Images as an MP4 file (MPEG-4 part 2, which desktop players show and browsers do not)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing, clear_leftovers
from datasets.errors import DataError

FPS = (0.1, 1000)
"""Least and most frames per second; OpenCV hangs on an infinite number of them."""


def write_mp4(path: Path, fps: float, images: Iterable[NDArray[np.uint8]]) -> None:
    """Write images as an MP4 that appears when it is complete.

    Args:
        path: The file to make.
        fps: Frames per second, in `FPS`.
        images: uint8 (H, W, 3), BGR, all of one size, whose sides are even, as MPEG-4 wants them.

    Raises:
        ValueError: If `fps` is not in `FPS`.
        DataError: If the disk is full, or OpenCV cannot write it for another reason.
    """
    if not FPS[0] <= fps <= FPS[1]:
        raise ValueError(f"{path}: {fps:g} frames per second: give a number from {FPS[0]:g} to {FPS[1]:g}")
    clear_leftovers(path)
    with appearing(path) as temporary:
        file = temporary.with_name(f"{temporary.name}.mp4")  # OpenCV picks the container by the file's suffix
        writer, written = None, 0
        try:
            for image in images:
                if writer is None:
                    size = (image.shape[1], image.shape[0])
                    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
                    if not writer.isOpened():
                        file.open("wb").close()  # raises where it is the place that cannot be written
                        problem = f"this OpenCV cannot write it as MPEG-4 of {fps:g} frames per second"
                        raise DataError(path, problem, "Choose 10 or 30 frames per second, or another format")
                writer.write(image)
                written += 1
            if writer is not None:
                writer.release()
            _check_written(path, file, written)
            file.replace(temporary)
        finally:
            if writer is not None:
                writer.release()
            file.unlink(missing_ok=True)


def _check_written(path: Path, file: Path, count: int) -> None:
    """See that all images are there: OpenCV's writer says nothing of a disk that was full."""
    reader = cv2.VideoCapture(str(file))
    found = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
    reader.release()
    if found != count:
        problem = f"cannot be written ({found} of {count} images are in the file: the disk may be full)"
        raise DataError(path, problem, "Make room there, or have it written elsewhere")
