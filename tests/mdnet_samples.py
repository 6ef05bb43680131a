"""MDNet's slim networks, a drawn video and its target, and the boxes that upstream's own code gave."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from golden_sequence import golden_state
from torch import Tensor, nn

from teachers.base import Task, Teacher
from teachers.mdnet.network import Network, Widths

SLIM = Widths(6, 8, 10, 64, 48)
TARGET = np.array([90, 80, 48, 64], np.float32)


def weighted(widths: Widths, gain: float = 0.2) -> Network:
    """A network with random but fixed weights."""
    network = Network(widths)
    generator = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1e4
        nn.init.normal_(parameter.detach(), 0, (2 / fan_in) ** 0.5, generator=generator)
    network.conv1[0].weight.detach().mul_(gain)
    return network.eval().requires_grad_(False)


def video(seed: int, length: int, size: tuple[int, int] = (320, 240)) -> list[np.ndarray]:
    """A textured square that moves over a textured background."""
    r = np.random.default_rng(seed)
    w, h = size
    ground = cv2.resize(r.integers(0, 256, (h // 8, w // 8, 3), dtype=np.uint8), size)
    target = cv2.resize(
        r.integers(0, 256, (8, 6, 3), dtype=np.uint8), (48, 64), interpolation=cv2.INTER_NEAREST
    )
    frames = []
    for t in range(length):
        frame = ground.copy()
        frame[80 + t : 144 + t, 90 + 3 * t : 138 + 3 * t] = target
        frames.append(frame)
    return frames


def followed(teacher: Teacher, frames: list[np.ndarray], name: str = "v") -> np.ndarray:
    first = teacher.start(frames[0], TARGET, Task(name, len(frames)))
    return np.stack([first, *(teacher.track(f) for f in frames[1:])])


UPSTREAM = np.array(
    [
        [90.0, 80.0, 48.0, 64.0],
        [93.84667969, 82.99742126, 48.28907776, 65.43325806],
        [97.79127502, 85.3379364, 50.15410614, 66.40232849],
        [100.56093597, 86.77799988, 51.87885284, 68.11976624],
        [106.02433014, 90.10289001, 50.68347168, 66.81023407],
        [109.49433899, 91.58006287, 51.43495941, 66.87760162],
        [113.96828461, 91.6724472, 51.61730957, 68.68739319],
        [118.12030029, 92.98369598, 51.25445557, 67.05451965],
    ]
)
"""What py-MDNet 680fa4d gives for the golden sequence and weights, both seeds 0 (PyTorch 2.13, OpenCV 5.0)."""


def golden_weights() -> dict[str, Tensor]:
    """Golden weights, with those of the first layer made smaller, as upstream's were."""
    state = golden_state(Network())
    state["conv1.0.weight"] *= 0.2
    return state
