"""What deep ECO learns a target from: the maps of frame 0's augmented search region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.base import Image
from teachers.eco.deep.augmentation import SHIFTS, augmented, kept_channels
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.pose import Pose
from teachers.eco.deep.region import KINDS

Floats = NDArray[np.float32]

_BATCH = 5


@dataclass(frozen=True)
class Beginning:
    """Frame 0's samples of one kind of features.

    Attributes:
        maps: float32 (J, cells, cells, channels): rows y, columns x.
        moves: By how much their origins are moved, (rows, columns) in radians of the region, for each.
    """

    maps: Tensor
    moves: list[tuple[float, float]]

    def axes(self, kept: int) -> Floats:
        """The directions of the largest variance over all cells of all maps, float32 (channels, kept)."""
        values = self.maps.reshape(-1, self.maps.shape[-1])
        values = values - values.mean(dim=0)
        _, axes = np.linalg.eigh((values.t() @ values).double().cpu().numpy())
        return np.ascontiguousarray(axes[:, ::-1][:, :kept], dtype=np.float32)


class Start(NamedTuple):
    """A target to learn.

    Attributes:
        image: Frame 0, uint8 (H, W, 3), BGR.
        pose: The target's place in it.
        generator: Chooses the channels that the last samples lack; None for no such samples.
    """

    image: Image
    pose: Pose
    generator: np.random.Generator | None


def beginnings(extractor: Extractor, start: Start) -> list[Beginning]:
    """Frame 0's samples, for each of `KINDS`."""
    image, pose, generator = start
    variants = augmented(pose.first_patch(image))
    parts = [extractor(variants[i : i + _BATCH]) for i in range(0, len(variants), _BATCH)]
    shifts = [(0, 0), *SHIFTS] + [(0, 0)] * (len(variants) - 1 - len(SHIFTS))
    off = pose.off
    moves = [pose.region.radians(rows + off[0], columns + off[1]) for rows, columns in shifts]
    found = []
    for kind, maps in zip(KINDS, (torch.cat(maps) for maps in zip(*parts, strict=True)), strict=True):
        if generator is None:
            found.append(Beginning(maps, moves))
        else:
            kept = torch.from_numpy(kept_channels(kind.channels, generator)).to(maps.device)
            dropped = maps[:1] * kept[:, None, None]
            found.append(Beginning(torch.cat([maps, dropped]), moves + [moves[0]] * len(kept)))
    return found
