"""SiamRPN behind the protocol of teachers: one video at a time, or many through one network call."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import nn

from teachers.base import Box, Image, Task, TeacherError
from teachers.gpu.space_to_depth import fold_first
from teachers.gpu.upload import room
from teachers.inference.acceleration import accelerate
from teachers.inference.folding import fold
from teachers.siamrpn.tracker import State, Tracker
from teachers.target import checked_target, colour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from teachers.siamrpn.crop import Whole
    from teachers.siamrpn.network import Network
    from teachers.siamrpn.variants import Tuning

EXEMPLAR_ONLY = ("conv_kernel", "conv_r1", "conv_cls1")
"""Layers of the heads that only ever see the exemplar, once per video."""


def prepared(network: nn.Module, tuning: Tuning, device: str = "cpu") -> Tracker:
    """Make a network that has its weights ready for inference: it is changed in place, and moved."""
    place = torch.device(device)
    ready = fold(network).to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if place.type == "cpu":
        accelerate(ready, seldom=EXEMPLAR_ONLY)
    elif place.type == "cuda":
        fold_first(ready)
    return Tracker(cast("Network", ready), tuning, place)


class SiamRPNBatch:
    """A `BatchTeacher`: up to `slots` videos through one network call per step.

    A video's boxes do not depend on the slot, on its neighbours or on the order of starts: see `Tracker` for
    what that means to the last bit.

    Args:
        tracker: What all videos share.
        slots: How many videos at once.
    """

    version: int = 3

    def __init__(self, tracker: Tracker, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"slots = {slots}: there has to be at least one")
        self.slots = slots
        self._tracker = tracker
        self._states: dict[int, State] = {}

    def prepare(self, image: Image) -> Image | Whole:
        """Bring an image to the device, see `Preparing`."""
        return self._tracker.prepare(image, self.slots)

    def room(self, shape: tuple[int, ...]) -> Image:
        """Where an image is best decoded, see `Preparing`."""
        return room(shape, self._tracker.device)

    def start(self, slot: int, image: Image | Whole, box: Box, task: Task) -> Box:
        """Begin a video in a free slot, see `BatchTeacher.start`."""
        if not 0 <= slot < self.slots:
            raise ValueError(f"video {task.name}: there is no slot {slot}, there are {self.slots}")
        checked_target(image, box, task, "siamrpn")
        self._states[slot] = self._tracker.begin(image, box)
        return self._states[slot].box

    def step(self, images: Mapping[int, Image | Whole]) -> dict[int, Box | Exception]:
        """Track the next frame of each slot given, see `BatchTeacher.step`."""
        states = self._tracker.step([self._states[slot] for slot in images], list(images.values()))
        answers: dict[int, Box | Exception] = {}
        for slot, state in zip(images, states, strict=True):
            if isinstance(state, State):
                self._states[slot] = state
                answers[slot] = state.box
            else:
                answers[slot] = state
        return answers

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        self._states.pop(slot, None)


class SiamRPNTeacher:
    """A `Teacher`: one video at a time.

    Args:
        tracker: The network and the numbers.
    """

    version: ClassVar[int] = SiamRPNBatch.version
    needs_images: ClassVar[bool] = True

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._state: State | None = None

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Learn the target of a new video, see `Teacher.start`."""
        self._state = None
        frame = colour(image, f"video {task.name}: siamrpn")
        checked_target(frame, box, task, "siamrpn")
        self._state = self._tracker.begin(frame, box)
        return self._state.box

    def track(self, image: Image | None) -> Box:
        """Return the box in the next frame."""
        if self._state is None:
            raise TeacherError("siamrpn: track() before start()")
        (state,) = self._tracker.step([self._state], [colour(image, "siamrpn")])
        if isinstance(state, TeacherError):
            raise state
        self._state = state
        return state.box
