"""The first frame and the target in it, checked: what every native teacher demands; each adds its own limits."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from datasets.boxes import is_valid
from teachers.base import Box, Image, Task, TeacherError


class Shaped(Protocol):
    """An image, here or on a device.

    Attributes:
        shape: It begins with the height and the width.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


def colour(image: Image | None, who: str) -> Image:
    """Check a frame: uint8 (H, W, 3), C-contiguous.

    Args:
        image: What the teacher was given, BGR.
        who: Begins the message: "kcf", or where the video is known "video Woman: kcf".

    Raises:
        ValueError: If it is not a colour image.
    """
    if image is None:
        raise ValueError(f"{who} needs images, not annotations alone")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"{who} needs colour images, uint8 (H, W, 3) in BGR order, not {image.dtype} {image.shape}; "
            "decode grey files with cv2.IMREAD_COLOR"
        )
    return np.ascontiguousarray(image)


def checked_target(image: Shaped, box: Box, task: Task, teacher: str) -> tuple[float, float, float, float]:
    """Check a video's first box.

    Args:
        image: Frame 0.
        box: (x, y, w, h), 0-based pixels.
        task: The video.
        teacher: Its name, for the message.

    Returns:
        x, y, w and h.

    Raises:
        TeacherError: If the box is not finite with a positive size, or has no part in the image.
    """
    if not bool(is_valid(box)):
        raise refusal(image, box, task, teacher, "it is not a box with a width and a height")
    x, y, w, h = (float(value) for value in box)
    height, width = image.shape[:2]
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise refusal(image, box, task, teacher, "it lies outside the image; are its pixels counted from 0?")
    return x, y, w, h


def refusal(image: Shaped, box: Box, task: Task, teacher: str, why: str) -> TeacherError:
    """The error of a target that cannot be tracked, for the reason given.

    Args:
        image: Frame 0.
        box: (x, y, w, h).
        task: The video.
        teacher: Its name.
        why: What is wrong with the target, and what to give instead: "it is too thin; give ...".
    """
    height, width = image.shape[:2]
    numbers = ", ".join(f"{float(value):g}" for value in box)
    return TeacherError(
        f"video {task.name}: {teacher} cannot track the target ({numbers}) in an image of {width} x {height} pixels: "
        f"{why}"
    )
