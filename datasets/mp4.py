"""Images as an MP4 file (MPEG-4 part 2, which desktop players show and browsers do not)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing


def write_mp4(path: Path, fps: float, images: Iterable[NDArray[np.uint8]]) -> None:
    """Write images as an MP4 that appears when it is complete.

    Args:
        path: The file to make.
        fps: Frames per second.
        images: uint8 (H, W, 3), BGR, all of one size, whose sides are even, as MPEG-4 wants them.

    Raises:
        OSError: If OpenCV cannot write it.
    """
    with appearing(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        file = Path(folder) / "video.mp4"  # OpenCV picks the container by the file's suffix
        writer = None
        try:
            for image in images:
                if writer is None:
                    size = (image.shape[1], image.shape[0])
                    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
                    if not writer.isOpened():
                        raise OSError(f"{path}: this OpenCV cannot write MPEG-4 videos")
                writer.write(image)
        finally:
            if writer is not None:
                writer.release()
        file.replace(temporary)
