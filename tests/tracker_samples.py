"""A drawn video, teachers whose boxes are known, and how a tracker is run over it."""

import time

import cv2
import numpy as np

from teachers.base import Task, TeacherError

FRAMES, WIDTH, HEIGHT = 70, 96, 72
BOX = np.array([30.5, 20.25, 22.0, 18.0], np.float32)


def video(seed=0, frames=FRAMES):
    """A textured scene that drifts."""
    rng = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT + 40, WIDTH + 40, 3), np.uint8), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    walk = 20 + 15 * np.sin(np.arange(frames)[:, None] * [0.11, 0.17])
    return [np.ascontiguousarray(scene[int(y) :, int(x) :][:HEIGHT, :WIDTH]) for x, y in walk]


class Scripted:
    """A teacher whose boxes are known; it may be slow, and fail or answer nonsense at a frame."""

    version = 1

    def __init__(self, boxes, fails=None, nonsense=None, seconds=0.0, needs_images=True):
        self.boxes, self.fails, self.nonsense, self.seconds = boxes, fails, nonsense, seconds
        self.needs_images = needs_images

    def _answer(self, image):
        assert (image is not None) == self.needs_images
        time.sleep(self.seconds)
        if self.t == self.fails:
            raise TeacherError("lost")
        box = self.boxes[self.t].copy()
        return box * np.nan if self.t == self.nonsense else box

    def start(self, image, box, task):
        self.t = 0
        self._answer(image)
        return box

    def track(self, image):
        self.t += 1
        return self._answer(image)


def script(seed, reach=1.0):
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, reach, (FRAMES, 4)) * [1, 1, 0.3, 0.3]
    boxes = BOX + np.cumsum(steps, axis=0)
    boxes[:, 2:] = np.clip(boxes[:, 2:], 6, 40)
    boxes[0] = BOX
    return boxes.astype(np.float32)


def run(tracker, images, name="v"):
    boxes = [tracker.start(images[0], BOX, Task(name, len(images)))]
    boxes += [tracker.track(image) for image in images[1:]]
    return np.stack(boxes)
