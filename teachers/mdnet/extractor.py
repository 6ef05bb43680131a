"""Features of boxes in images: crops and the network, in batches of the size that suits the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.boxes import Boxes
from teachers.base import Image
from teachers.mdnet.crop import as_input, crop, crop_on_device, padded
from teachers.mdnet.network import Network

Prepared = NDArray[np.uint8] | Tensor
"""An image as `Extractor.prepare` leaves it: RGB on the CPU, or padded RGB on another device."""

CPU_BATCH = 32
"""Patches per call on a CPU: with 256, the 250 MB of activations are fetched from memory and cost twice as much."""

DEVICE_BATCH = 1024
"""Patches per call on a GPU, to begin with."""


@dataclass(frozen=True)
class Request:
    """Boxes (N, 4) of which the features are wanted, in an image that `Extractor.prepare` gave."""

    image: Prepared
    boxes: Boxes


class Extractor:
    """Turns boxes into features.

    Args:
        network: The shared layers, on the device where they run.

    Attributes:
        batch: Patches per call of the network; halved when the device runs out of memory.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.device = network.device
        self.batch = CPU_BATCH if self.device.type == "cpu" else DEVICE_BATCH

    def prepare(self, image: Image) -> Prepared:
        """Bring an image (uint8 (H, W, 3), BGR) to where it is cropped."""
        if self.device.type != "cpu":
            return padded(image, self.device)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def features(self, requests: Sequence[Request]) -> list[Tensor]:
        """The features of each request's boxes, float32 (N, F).

        Batches run across requests, so that only the last of them is not full.

        Raises:
            torch.OutOfMemoryError: If not even one patch fits.
        """
        counts = [len(r.boxes) for r in requests]
        owner = np.repeat(np.arange(len(requests)), counts)
        boxes = np.concatenate([r.boxes for r in requests])
        features = torch.empty(len(boxes), self.network.widths.feature, device=self.device)
        done = 0
        while done < len(boxes):
            end = min(done + self.batch, len(boxes))
            try:
                features[done:end] = self._batch(requests, owner[done:end], boxes[done:end])
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            done = end
        return list(torch.split(features, counts))

    def _batch(self, requests: Sequence[Request], owner: NDArray[np.intp], boxes: Boxes) -> Tensor:
        numbers, owner = np.unique(owner, return_inverse=True)
        images = [requests[i].image for i in numbers]
        on_device = [image for image in images if isinstance(image, Tensor)]
        if on_device:
            return self.network.features(crop_on_device(on_device, owner, boxes))
        patches = [
            as_input(crop(image, boxes[owner == i]))
            for i, image in enumerate(images)
            if not isinstance(image, Tensor)
        ]
        return self.network.features(patches[0] if len(patches) == 1 else torch.cat(patches))
