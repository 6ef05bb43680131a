"""MDNet over videos: the algorithm of the authors' Python code (notes: mdnet.md, 4 and 7), one or many at a time.

Nam and Han, Learning Multi-Domain Convolutional Neural Networks for Visual Tracking, CVPR 2016; with the published
weights and seed 0 it gives that code's boxes, random numbers included, to a thousandth of a pixel on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import FilePath
from torch import Tensor

from datasets.boxes import as_boxes
from teachers.base import Box, Image, Task, TeacherError
from teachers.devices import usable
from teachers.gpu.upload import fetched, room
from teachers.mdnet import classifier, regression
from teachers.mdnet.budget import BUDGETS, PUBLISHED, Budget
from teachers.mdnet.classifier import Layers
from teachers.mdnet.extractor import Extractor, Prepared, Request
from teachers.mdnet.first_training import FirstTraining
from teachers.mdnet.memory import Memory, Rows
from teachers.mdnet.network import Network, load_network
from teachers.mdnet.sampling import MARGIN, Sampler
from teachers.mdnet.track import LONG, SHORT, Track
from teachers.mdnet.training import Examples, train
from teachers.options import TeacherConfigError
from teachers.target import checked_target, colour

SLIM_WEIGHTS = Path(__file__).with_name("slim.safetensors")
"""Those that come with the project; slim.json says how `python -m teachers.training.mdnet` made them."""

FIRST_RATE, RATE = 5e-4, 1e-3
"""Of the training in frame 0, and of every update after it."""

BEST = 5
"""Candidates whose mean is the target."""


class MdnetBatch:
    """MDNet over many videos in lockstep.

    On a GPU all slots share each call of the network, and their classifiers are trained together. On a CPU that gains
    nothing; each slot is stepped on its own, with the very operations of `Mdnet`, hence to its last bit.

    Args:
        weights: A checkpoint of the shared layers, or a network that is already loaded.
        slots: Number of videos at once. Each takes 0.25 GB for features and its classifier where the network is wide.
        seed: Every video starts with generators of this seed, as in the authors' code: one video per process.
        device: "cpu", "cuda" or "cuda:1". On a GPU dropout masks are drawn there, so boxes differ from the CPU's.
        budget: How many samples are drawn, and how long is trained on them.

    Attributes:
        together: Whether slots are stepped together.

    Raises:
        DataError: If the checkpoint cannot be read or is another network's.
        TeacherConfigError: If there is no generator of such a seed.
    """

    version: ClassVar[int] = 2

    def __init__(
        self,
        weights: FilePath | Network,
        slots: int = 1,
        seed: int = 0,
        device: str = "cpu",
        budget: Budget = PUBLISHED,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots = {slots}: at least one video at a time")
        if not 0 <= seed < 2**32:
            raise TeacherConfigError(f"mdnet: seed = {seed}: give a whole number from 0 to {2**32 - 1}")
        network = weights if isinstance(weights, Network) else load_network(weights, device)
        self.slots = slots
        self._seed, self._budget = seed, budget
        self._extractor = Extractor(network)
        self._device = self._extractor.device
        self.together = self._device.type != "cpu"
        # One classifier each, and the momenta of its updates: these last for a whole video.
        self._layers = classifier.empty(slots, network.widths, self._device)
        self._momenta = classifier.empty(slots, network.widths, self._device)
        width = network.widths.feature
        self._memories = [
            (
                Memory(budget.first_positives, budget.positives, LONG, width, self._device),
                Memory(budget.negatives, budget.negatives, SHORT, width, self._device),
            )
            for _ in range(slots)
        ]
        self._tracks: dict[int, Track] = {}
        generator = torch.Generator().manual_seed(seed)
        self._initial = classifier.initial(network, generator)
        self._after_initial = generator.get_state()
        self._first_training = FirstTraining(self._initial, budget, FIRST_RATE)

    def widened(self, slots: int) -> MdnetBatch:
        """Another one with the same network, for so many videos."""
        return MdnetBatch(self._extractor.network, slots, self._seed, budget=self._budget)

    def prepare(self, image: Image) -> Image | Tensor:
        """Bring an image to the device, see `Preparing`; where it is cropped on the CPU, it is left as it is."""
        return image if self._device.type == "cpu" else self._extractor.prepare(image)

    def room(self, shape: tuple[int, ...]) -> Image:
        """Where an image is best decoded, see `Preparing`."""
        return room(shape, self._device)

    def _prepared(self, image: Image | Tensor) -> Prepared:
        return image if isinstance(image, Tensor) else self._extractor.prepare(image)

    @torch.inference_mode()
    def start(self, slot: int, image: Image | Tensor, box: Box, task: Task) -> Box:
        """Begin a video in a free slot: draw samples, train its classifier and its regressor.

        Raises:
            TeacherError: If the box is not valid or lies outside the image, or the target or the image is too small to
                draw samples from.
        """
        where = f"video {task.name}"
        prepared = self._prepared(image)
        pixels = prepared[1:-1, 1:-1] if isinstance(prepared, Tensor) else prepared
        checked_target(pixels, box, task, "mdnet")
        height, width = pixels.shape[:2]
        if min(height, width) <= 2 * MARGIN:
            raise TeacherError(f"{where}: an image of {width} x {height} is too small for MDNet's samples")
        memories = self._memories[slot]
        for memory in memories:
            memory.clear()
        sampler = Sampler(np.random.RandomState(self._seed), (width, height))
        track = Track(sampler, self._dropout(), as_boxes(box).copy(), *memories, budget=self._budget)
        samples = track.first(where)
        positives, negatives = self._features(prepared, samples.positives, samples.negatives)

        examples = Examples(Rows.all_of(positives), Rows.all_of(negatives), sampler.rng, track.dropout)
        if self._device.type == "cuda":
            learned = self._first_training(positives, negatives, examples)
        else:
            learned = Layers(*(first.clone() for first in self._initial.tensors()))
            train(learned, learned.zeros(), [examples], self._budget.first_iterations, FIRST_RATE)
        self._layers.put([slot], learned)
        self._momenta.put([slot], learned.zeros())

        to_regress, background = track.to_regress(), track.first_background()
        regressed, kept = self._features(prepared, to_regress, background)
        if len(to_regress):
            track.regressor = regression.fit(regressed, to_regress, track.box)
        track.positives.add(positives)
        track.negatives.add(kept)
        self._tracks[slot] = track
        return track.box

    @torch.inference_mode()
    def step(self, images: Mapping[int, Image | Tensor]) -> dict[int, Box | Exception]:
        """Track the next frame of each slot given; of slots stepped together nobody knows whose fault an error is."""
        if self.together:
            return dict(self._step(list(images), list(images.values())))
        boxes: dict[int, Box | Exception] = {}
        for slot, image in images.items():
            try:
                boxes.update(self._step([slot], [image]))
            except Exception as error:  # noqa: BLE001 - handed to the caller, who fails this slot's video
                boxes[slot] = error
        return boxes

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        self._tracks.pop(slot, None)
        for memory in self._memories[slot]:
            memory.clear()

    def _dropout(self) -> torch.Generator:
        generator = torch.Generator(self._device).manual_seed(self._seed)
        if self._device.type == "cpu":
            generator.set_state(self._after_initial)
        return generator

    def _features(self, image: Prepared, *boxes: np.ndarray) -> list[Tensor]:
        return self._extractor.features([Request(image, b) for b in boxes])

    def _step(self, slots: Sequence[int], images: Sequence[Image | Tensor]) -> dict[int, Box]:
        """Track one frame of some slots in lockstep."""
        tracks = [self._tracks[slot] for slot in slots]
        prepared = [self._prepared(image) for image in images]
        candidates = [track.candidates() for track in tracks]
        features = self._extractor.features(
            [Request(image, boxes) for image, boxes in zip(prepared, candidates, strict=True)]
        )
        logits = classifier.scores(self._layers.at(slots), torch.stack(features))[..., classifier.TARGET]
        best = logits.topk(BEST, dim=1)
        means, order = fetched(best.values.mean(1)).tolist(), fetched(best.indices)

        refinable = {
            i: own for i, t in enumerate(tracks) if means[i] > 0 and (own := t.regressor) is not None
        }
        shifts = regression.corrections(
            list(refinable.values()), [features[i][best.indices[i]] for i in refinable]
        )
        shift = dict(zip(refinable, shifts, strict=True))

        reported: dict[int, Box] = {}
        learning: list[tuple[int, Track, bool]] = []
        for i, (slot, track) in enumerate(zip(slots, tracks, strict=True)):
            chosen = candidates[i][order[i]]
            success = means[i] > 0
            box = chosen.mean(0)
            reported[slot] = box
            if success:
                if i in shift:
                    reported[slot] = regression.refined(chosen, shift[i], track.image_size).mean(0)
                track.found(box, prepared[i])
            else:
                track.lost(box)
            if track.learns(success):
                learning.append((slot, track, success))
        # On a GPU the images of ten frames of many videos would fill it; there samples become features at once.
        self._remember(tracks if self.together else [track for _, track, _ in learning])
        self._learn(learning)
        return reported

    def _remember(self, tracks: Sequence[Track]) -> None:
        """Turn the samples that are pending into features, and keep these."""
        pending = [(track, found) for track in tracks for found in track.pending]
        if not pending:
            return
        requests = [
            Request(found.image, boxes)
            for _, found in pending
            for boxes in (found.positives, found.negatives)
        ]
        features = iter(self._extractor.features(requests))
        for track, _ in pending:
            track.positives.add(next(features))
            track.negatives.add(next(features))
        for track in tracks:
            track.pending.clear()

    def _learn(self, learning: Sequence[tuple[int, Track, bool]]) -> None:
        """Update the classifiers of some slots together: short-term ones and long-term ones are one training."""
        slots: list[int] = []
        examples: list[Examples] = []
        for slot, track, success in learning:
            positives, negatives = track.lesson(success)
            if len(positives) and len(negatives):
                slots.append(slot)
                examples.append(Examples(positives, negatives, track.sampler.rng, track.dropout))
        if not slots:
            return
        layers, momenta = self._layers.at(slots), self._momenta.at(slots)
        train(layers, momenta, examples, self._budget.iterations, RATE)
        self._layers.put(slots, layers)
        self._momenta.put(slots, momenta)


class Mdnet:
    """MDNet, one video at a time.

    Args:
        weights: A checkpoint of the shared layers: `mdnet_imagenet_vid.pth` (the authors' default),
            `mdnet_vot-otb.pth`, or a slimmer network under the same names. None: a slim network that this project
            trained on procedural video alone, which is not the published one and tracks less well.
        seed: Every video starts with generators of this seed; 0 gives the boxes of the authors' code.
        device: "cpu", "cuda" or "cuda:1". On a GPU dropout masks are drawn there, so boxes differ from the CPU's.
        samples: Numbers of samples and iterations: the "published" ones, or the several times smaller ones of "slim"
            (`budget`). None: published for weights that are given, slim for the slim network.

    Raises:
        DataError: If the checkpoint cannot be read or is another network's.
        TeacherConfigError: If there is no such device here, or no generator of such a seed.
    """

    version: ClassVar[int] = MdnetBatch.version
    needs_images: ClassVar[bool] = True

    def __init__(
        self,
        weights: FilePath | None = None,
        seed: int = 0,
        device: str = "cpu",
        samples: Literal["published", "slim"] | None = None,
    ) -> None:
        usable("mdnet", device)
        budget = BUDGETS[samples or ("published" if weights else "slim")]
        self._batch = MdnetBatch(weights or SLIM_WEIGHTS, 1, seed, device, budget)

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Learn the target of a new video from frame 0; it costs as much as ten to twenty frames."""
        return self._batch.start(0, colour(image, f"video {task.name}: mdnet"), box, task)

    def track(self, image: Image | None) -> Box:
        """Return the box in the next frame, bounding-box regression included."""
        box = self._batch.step({0: colour(image, "mdnet")})[0]
        if isinstance(box, Exception):
            raise box
        return box

    def batch(self, slots: int) -> MdnetBatch:
        """The same network, seed and samples for many videos at once."""
        return self._batch.widened(slots)
