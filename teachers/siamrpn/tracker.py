"""The tracker: a step is a pure function of (state, image).

SiamRPN (Li et al., CVPR 2018) at inference, as pysot's `siamrpn_tracker.py` and `siamrpnlt_tracker.py` and
DaSiamRPN's `run_SiamRPN.py` do it. There is no update of the appearance and no randomness.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from teachers.base import Box, Image, TeacherError
from teachers.gpu.upload import fetched, uploaded
from teachers.siamrpn.anchors import anchors, cosine_window
from teachers.siamrpn.crop import (
    Colour,
    Whole,
    Window,
    average_colour,
    brought,
    context_side,
    patch,
    resample,
    window_at,
)
from teachers.siamrpn.decode import choose
from teachers.siamrpn.variants import EXEMPLAR, Tuning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachers.siamrpn.head import Kernels
    from teachers.siamrpn.network import Network

_SMALLEST = 10.0
_SMALL_TARGET = 0.004
_MOST = 1024

_FEW = 4
"""Images that are on the CPU are cut there where there are no more than this: that costs less than the dozens of
kernels with which a GPU cuts any number."""


@dataclass(frozen=True, eq=False)
class State:
    """One video between two frames.

    Attributes:
        centre: (x, y) in image pixels.
        size: (w, h) in image pixels.
        box: float32 (4,), what is reported.
        score: The chosen proposal's, in [0, 1]; 1 at the start.
        fill: The first frame's mean colour.
        kernels: What the network keeps of the exemplar, on its device, with a leading dimension of 1.
        search: Side of the search region that the network takes while the target is not lost.
        lost: Only the long-term tracker sets it.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    box: Box
    score: float
    fill: Colour
    kernels: Kernels
    search: int
    lost: bool = False


class Tracker:
    """Holds what all videos share: the network and the numbers.

    On the CPU every video goes through the network alone, so its boxes are, to the last bit, what they are
    without neighbours (a batch pays nothing there). On a GPU the videos given together go through in one
    call; the kernels that serve a batch depend on its size, so there the last bits of a float32 may differ
    with it.

    Args:
        network: In inference mode, on the device.
        tuning: The numbers.
        device: Where the network is.
        together: Videos that one network call takes at most, None for what pays on the device. It is halved
            whenever the device runs out of memory.
    """

    def __init__(
        self, network: Network, tuning: Tuning, device: torch.device, together: int | None = None
    ) -> None:
        self.network = network
        self.tuning = tuning
        self.device = device
        self._together = together or (1 if device.type == "cpu" else _MOST)

    def begin(self, image: Image | Whole, box: Box) -> State:
        """Learn the target of frame 0.

        Args:
            image: uint8 (H, W, 3), BGR, here or on the device.
            box: float (4,), (x, y, w, h), a checked one (`teachers.target`).
        """
        x, y, w, h = (float(v) for v in box)
        height, width = image.shape[:2]
        less = 1.0 if self.tuning.start == "pysot-init" else 0.0
        centre = (x + (w - less) / 2, y + (h - less) / 2)
        window = window_at(centre, round(context_side(w, h)), self.tuning.rounding)
        fill = average_colour(image)
        with torch.inference_mode():
            kernels = self.network.template(self._crops([image], [window], EXEMPLAR, [fill]))
        small = w * h / (width * height) < _SMALL_TARGET
        search = self.tuning.small_search if small and self.tuning.small_search else self.tuning.search
        return State(centre, (w, h), np.asarray(box, np.float32), 1.0, fill, kernels, search)

    def step(self, states: Sequence[State], images: Sequence[Image | Whole]) -> list[State | TeacherError]:
        """Find the targets in their next frames.

        Args:
            states: One per video.
            images: The next frame of each, here or on the device.

        Returns:
            The state after the frame, or why there is none, in the order of `states`.

        Raises:
            torch.OutOfMemoryError: If the device has no memory for a call with a single one of them.
        """
        groups: dict[int, list[int]] = defaultdict(list)
        for index, state in enumerate(states):
            groups[self._search(state)].append(index)
        results: dict[int, State | TeacherError] = {}
        for search, members in groups.items():
            pending = members
            while pending:
                part = pending[: self._together]
                try:
                    choices = self._chosen([states[i] for i in part], [images[i] for i in part], search)
                except torch.OutOfMemoryError:
                    if len(part) == 1:
                        raise
                    self._together = len(part) // 2
                    continue
                for i, choice in zip(part, choices, strict=True):
                    results[i] = self._moved(states[i], choice, images[i])
                pending = pending[len(part) :]
        return [results[i] for i in range(len(states))]

    def prepare(self, image: Image, slots: int) -> Image | Whole:
        """Bring an image to where it is cut when so many videos are tracked: ahead of time, by any thread."""
        if self.device.type == "cpu" or slots <= _FEW:
            return image
        return brought(image, self.device)

    def _search(self, state: State) -> int:
        return self.tuning.long_term.search if self.tuning.long_term and state.lost else state.search

    def _influence(self, state: State) -> float:
        lost = self.tuning.long_term if state.lost else None
        return lost.influence if lost else self.tuning.influence

    def _crops(
        self, images: Sequence[Image | Whole], windows: Sequence[Window], size: int, fills: Sequence[Colour]
    ) -> Tensor:
        """Float (N, 3, size, size) in channels-last order, on the device, or as `resample` has it folded."""
        here = [image for image in images if not isinstance(image, Whole)]
        if len(here) == len(images) and (self.device.type == "cpu" or len(here) <= _FEW):
            cuts = [patch(i, w, size, f) for i, w, f in zip(here, windows, fills, strict=True)]
            return uploaded(np.stack(cuts), self.device).permute(0, 3, 1, 2).float()
        return resample(images, windows, size, fills, self.device)

    def _chosen(
        self, states: Sequence[State], images: Sequence[Image | Whole], search: int
    ) -> list[list[float]]:
        """Run the network; rows as `decode.choose` gives them."""
        sides = [context_side(*state.size) for state in states]
        windows = [
            window_at(state.centre, round(side * (search / EXEMPLAR)), self.tuning.rounding)
            for state, side in zip(states, sides, strict=True)
        ]
        # Of a target: its width and height in pixels of the search region, and the window's influence.
        numbers = [
            [*(v * (EXEMPLAR / side) for v in state.size), self._influence(state)]
            for state, side in zip(states, sides, strict=True)
        ]
        with torch.inference_mode():
            targets = uploaded(np.array(numbers, np.float64), self.device)
            crops = self._crops(images, windows, search, [state.fill for state in states])
            kernels = tuple(
                parts[0] if len(parts) == 1 else torch.cat(parts)
                for parts in zip(*(state.kernels for state in states), strict=True)
            )
            classes, boxes = self.network(crops, kernels)
            response = self.tuning.response(search)
            chosen = choose(
                classes,
                boxes,
                anchors(response, self.device, self.tuning.origin),
                cosine_window(response, self.device),
                targets[:, :2],
                self.tuning.penalty_k,
                targets[:, 2],
            )
            rows: list[list[float]] = fetched(chosen).tolist()
        return rows

    def _moved(self, state: State, choice: Sequence[float], image: Image | Whole) -> State | TeacherError:
        *proposal, penalty, score, usable = choice
        if not usable:
            return TeacherError(
                "the network gave no finite proposal: its weights are broken, or another network's"
            )
        scale = EXEMPLAR / context_side(*state.size)
        dx, dy, width, height = (v / scale for v in proposal)
        rate = penalty * score * self.tuning.rate
        long_term = self.tuning.long_term
        centre, size = state.centre, state.size
        if long_term is None or score >= long_term.low:
            centre = (centre[0] + dx, centre[1] + dy)
            size = (size[0] * (1 - rate) + width * rate, size[1] * (1 - rate) + height * rate)
        rows, columns = image.shape[:2]
        cx, cy = (max(0.0, min(c, float(b))) for c, b in zip(centre, (columns, rows), strict=True))
        w, h = (max(_SMALLEST, min(s, float(b))) for s, b in zip(size, (columns, rows), strict=True))
        box = np.array([cx - w / 2, cy - h / 2, w, h], np.float32)
        if long_term is None:
            return replace(state, centre=(cx, cy), size=(w, h), box=box, score=score)
        # The long-term tracker keeps what it found, and only reports it clipped to the image.
        lost = score < long_term.low or (state.lost and score <= long_term.high)
        return replace(state, centre=centre, size=size, box=box, score=score, lost=lost)
