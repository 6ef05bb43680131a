"""Bounding-box regression: from the feature of a sample to the box it should have been (notes: mdnet.md, 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.boxes import Boxes, overlap
from teachers.gpu.upload import fetched

ALPHA = 1000.0
"""Weight of the ridge."""

OVERLAPS = (0.6, 1.0)
"""IoU with the target that a sample to learn from has."""

AREAS = (1.0, 2.0)
"""Its area in units of the target's."""


@dataclass(frozen=True)
class Regressor:
    """A ridge regression with intercept from features to (dx, dy, dw, dh).

    Attributes:
        weight: float32 (F, 4).
        intercept: float32 (4,).
    """

    weight: Tensor
    intercept: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """The corrections (dx, dy, dw, dh) that features (N, F) ask for, float32 (N, 4)."""
        return features @ self.weight + self.intercept


def corrections(regressors: Sequence[Regressor], features: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Each regressor's corrections for features (N, F) of its own video, float32 (N, 4), on the CPU.

    All come from a device in one transfer, for each has to wait until the device is done.
    """
    if not regressors:
        return []
    found = torch.stack([own(x) for own, x in zip(regressors, features, strict=True)])
    return list(fetched(found))


def refined(boxes: Boxes, shift: NDArray[np.float32], image_size: tuple[int, int]) -> Boxes:
    """Correct boxes.

    Args:
        boxes: float32 (N, 4).
        shift: Their corrections, float32 (N, 4).
        image_size: (width, height).

    Returns:
        float32 (N, 4), with the top-left corner not above or left of the image. The size is cut at what is left of the
        image from the *uncorrected* corner on, as in the authors' code.
    """
    size = boxes[:, 2:]
    centre = boxes[:, :2] + size / 2 + shift[:, :2] * size
    wanted = np.exp(shift[:, 2:]) * size
    corner = np.maximum(centre - wanted / 2, 0)
    room = np.asarray(image_size, np.float32) - boxes[:, :2]
    result: Boxes = np.concatenate([corner, np.minimum(wanted, room)], axis=1).astype(np.float32)
    return result


def suitable(boxes: Boxes, target: Boxes) -> Boxes:
    """Those of the boxes (N, 4) that a regressor learns from."""
    iou = overlap(boxes, target)
    area = boxes[:, 2] * boxes[:, 3] / (target[2] * target[3])
    chosen = (iou >= OVERLAPS[0]) & (iou <= OVERLAPS[1]) & (area >= AREAS[0]) & (area <= AREAS[1])
    found: Boxes = boxes[chosen]
    return found


def fit(features: Tensor, boxes: Boxes, target: Boxes) -> Regressor:
    """Learn to correct boxes towards the target.

    Args:
        features: float32 (N, F), of the boxes, N at least 1.
        boxes: float32 (N, 4).
        target: float32 (4,).
    """
    weight, intercept = ridge(features, torch.from_numpy(shifts(boxes, target)).to(features.device))
    return Regressor(weight, intercept)


def shifts(boxes: Boxes, target: Boxes) -> NDArray[np.float32]:
    """What corrects boxes (N, 4) to the target (4,): dx, dy in their sizes, dw, dh in logarithms; float32 (N, 4)."""
    size = boxes[:, 2:]
    centre = boxes[:, :2] + size / 2
    goal = target[:2] + target[2:] / 2
    shift = np.concatenate([(goal - centre) / size, np.log(target[2:] / size)], axis=1)
    return shift.astype(np.float32)


def ridge(x: Tensor, y: Tensor, alpha: float = ALPHA) -> tuple[Tensor, Tensor]:
    """Minimise |y - x w - b|^2 + alpha |w|^2, the intercept b free.

    There are more columns than rows, so the dual is solved: w = xc' (xc xc' + alpha I)^-1 yc on centred data.

    Args:
        x: float32 (N, F).
        y: float32 (N, D).
        alpha: The ridge, above 0.

    Returns:
        w float32 (F, D) and b float32 (D,).
    """
    x_mean, y_mean = x.mean(0), y.mean(0)
    xc = x - x_mean
    gram = (xc @ xc.T).double()
    gram.diagonal().add_(alpha)
    # With the ridge it is positive definite; asking whether it was would wait for the device.
    factor, _ = torch.linalg.cholesky_ex(gram)
    dual = torch.cholesky_solve((y - y_mean).double(), factor)
    weight = xc.T @ dual.float()
    return weight, y_mean - x_mean @ weight
