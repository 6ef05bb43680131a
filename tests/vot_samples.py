"""Sequences in VOT's layout whose target rests, and a tracker that leaves it where a test says."""

import math

import cv2
import numpy as np

IMAGE = (100.0, 100.0)
TARGET = [40.0, 40.0, 10.0, 10.0]
AWAY = [80.0, 80.0, 10.0, 10.0]


class Scripted:
    """Follows the target, except where its script, by the frames since the start of the video's folder, says else.

    Frames are told by what the image's first pixel holds.
    """

    version = 1
    needs_images = True

    def __init__(self, **script):
        self.script = {int(frame[1:]): box for frame, box in script.items()}
        self.started = []

    def start(self, image, box, task):
        self.started.append((int(image[0, 0, 0]), np.asarray(box).tolist(), task.name, task.length))
        return np.asarray(box, np.float32)

    def track(self, image):
        return np.float32(self.script.get(int(image[0, 0, 0]), TARGET))


class Telling:
    """Answers with what it was told of the sequence: as wide as its name is long, as high as it has frames."""

    version = 1
    needs_images = False

    def start(self, image, box, task):
        self.told = np.float32([0, 0, len(task.name), task.length])
        return self.told

    def track(self, image):
        return self.told


def write_sequence(root, name, frames, rows=None):
    """A sequence whose images are grey of their own 0-based number; the target rests at TARGET."""
    folder = root / name / "color"
    folder.mkdir(parents=True)
    for t in range(frames):
        cv2.imwrite(str(folder / f"{t + 1:08d}.png"), np.full((100, 100, 3), t, np.uint8))
    rows = rows or [TARGET] * frames
    (root / name / "groundtruth.txt").write_text(
        "".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows)
    )
    with (root / "list.txt").open("a") as file:
        file.write(f"{name}\n")


def rotated(x, y, w, h, degrees):
    """Corners of a rectangle turned around its centre."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)]
    return [(x + w / 2 + c * u - s * v, y + h / 2 + s * u + c * v) for u, v in corners]
