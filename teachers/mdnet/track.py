"""One video's state, and every decision that needs no network: what to sample, what to remember, when to learn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from datasets.boxes import Boxes
from teachers.base import Box, TeacherError
from teachers.mdnet import regression
from teachers.mdnet.budget import PUBLISHED, Budget
from teachers.mdnet.extractor import Prepared
from teachers.mdnet.memory import Memory, Rows
from teachers.mdnet.sampling import MARGIN, Sampler, Spread

NEAR = 0.6
"""Spread of the candidates while the target is found; it grows by a tenth with each failure in a row, up to `FAR`."""

FAR = 1.5

POSITIVE, NEGATIVE = Spread(0.1, 1.3), Spread(2.0, 1.3)
"""Spread of positives, and of negatives once the tracker runs."""

FIRST_NEGATIVE = Spread(1.0, 1.6)
REGRESSION = Spread(0.3, 1.6, 1.1)

IS_TARGET = (0.7, 1.0)
"""IoU of positives."""

FIRST_BACKGROUND, BACKGROUND = (0.0, 0.5), (0.0, 0.3)
"""IoU of negatives in frame 0 and later."""

SHORT, LONG, EVERY = 30, 100, 10
"""Frames of positives in a short-term and in a long-term update; frames from one long-term update to the next.
Either takes the negatives of at most `SHORT` frames."""


@dataclass(frozen=True)
class Found:
    """Positives and negatives around the target of one frame, not yet turned into features."""

    image: Prepared
    positives: Boxes
    negatives: Boxes


@dataclass(frozen=True)
class First:
    """Samples of frame 0.

    Attributes:
        positives: float32 (up to 500, 4); numbers here and below are the published budget's.
        negatives: float32 (up to 5000, 4), in random order.
    """

    positives: Boxes
    negatives: Boxes


@dataclass
class Track:
    """One video.

    Attributes:
        sampler: Draws boxes, and orders of training, from the video's own generator.
        dropout: The video's generator of dropout masks, on the device of the classifiers.
        box: The target, float32 (4,), before bounding-box regression: samples are drawn around this one.
        positives, negatives: Features remembered.
        regressor: None if frame 0 gave no sample to learn it from; boxes then stay as the classifier found them.
        trans: Spread of the next frame's candidates.
        frame: Number of the last frame seen.
        pending: Frames that were collected since the classifier last learnt. Their features are computed when it next
            does: at the end of a video, and of an abandoned one, they never are.
        budget: How many samples are drawn.
    """

    sampler: Sampler
    dropout: torch.Generator
    box: Box
    positives: Memory
    negatives: Memory
    regressor: regression.Regressor | None = None
    trans: float = NEAR
    frame: int = 0
    pending: list[Found] = field(default_factory=list)
    budget: Budget = PUBLISHED

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of frame 0, which all later frames are taken to have."""
        width, height = self.sampler.image_size
        return int(width), int(height)

    def first(self, where: str) -> First:
        """Draw what the classifier learns from in frame 0.

        Raises:
            TeacherError: If the target is too small, or the image too small around it, for there to be any.
        """
        positives = self.sampler.gaussian_within(self.box, self.budget.first_positives, POSITIVE, IS_TARGET)
        half = self.budget.first_negatives // 2
        negatives = np.concatenate(
            [
                self.sampler.uniform_within(self.box, half, FIRST_NEGATIVE, FIRST_BACKGROUND),
                self.sampler.whole_within(self.box, half, FIRST_BACKGROUND),
            ]
        )
        if not len(positives) or not len(negatives):
            raise TeacherError(
                f"{where}: MDNet finds {len(positives)} positives and {len(negatives)} negatives around the target "
                f"{self.box.tolist()} in an image of {self.image_size}; its samples are at least {MARGIN} px wide and "
                f"high and {MARGIN} px less than the image"
            )
        return First(positives, negatives[self.sampler.rng.permutation(len(negatives))])

    def to_regress(self) -> Boxes:
        """Draw what the regressor learns from in frame 0, float32 (up to 1000, 4)."""
        return regression.suitable(
            self.sampler.uniform_within(self.box, self.budget.regression, REGRESSION, regression.OVERLAPS),
            self.box,
        )

    def first_background(self) -> Boxes:
        """Draw the negatives of frame 0 that stay in memory."""
        return self.sampler.uniform_within(self.box, self.budget.negatives, NEGATIVE, FIRST_BACKGROUND)

    def candidates(self) -> Boxes:
        """Draw where the target may be in the next frame, float32 (256, 4)."""
        self.frame += 1
        return self.sampler.gaussian(self.box, self.budget.candidates, Spread(self.trans, 1.05))

    def found(self, box: Box, image: Prepared) -> None:
        """Go on from a box that the classifier believes in, and collect samples around it."""
        self.box = box
        self.trans = NEAR
        self.pending.append(
            Found(
                image,
                self.sampler.gaussian_within(box, self.budget.positives, POSITIVE, IS_TARGET),
                self.sampler.uniform_within(box, self.budget.negatives, NEGATIVE, BACKGROUND),
            )
        )

    def lost(self, box: Box) -> None:
        """Go on from a box that the classifier does not believe in, and look farther around it."""
        self.box = box
        self.trans = min(self.trans * 1.1, FAR)

    def learns(self, success: bool) -> bool:
        """Whether the classifier is updated after this frame: whenever it fails, and every tenth frame otherwise."""
        return not success or self.frame % EVERY == 0

    def lesson(self, success: bool) -> tuple[Rows, Rows]:
        """Positives and negatives of the update after this frame; nothing may be pending."""
        return self.positives.rows(LONG if success else SHORT), self.negatives.rows(SHORT)
