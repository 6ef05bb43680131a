"""The training in frame 0 on a GPU: its thousands of small kernels, recorded once, are replayed as one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from teachers.gpu.replayed import Replayed
from teachers.mdnet.budget import Budget
from teachers.mdnet.classifier import Layers
from teachers.mdnet.memory import Rows
from teachers.mdnet.training import Examples, Lesson, descend, lesson


class FirstTraining:
    """`training.train` for the first time, from one video's examples to its classifier.

    Args:
        initial: A new video's layers, of one slot.
        budget: How many samples there are at most, and how long is trained.
        rate: Learning rate of fc4 and fc5.
    """

    def __init__(self, initial: Layers, budget: Budget, rate: float) -> None:
        self._initial, self._budget, self._rate = initial, budget, rate
        self._descended = Replayed(self._descend)

    @torch.inference_mode()
    def __call__(self, positives: Tensor, negatives: Tensor, examples: Examples) -> Layers:
        """The layers, of one slot.

        Args:
            positives: The features (N, F) that are all of the examples' positives.
            negatives: The same of the negatives.
            examples: Of the video.
        """
        drawn = lesson(self._initial, examples, self._budget.first_iterations)
        # What is replayed has fixed sizes; nothing refers to the zeros.
        lacking = self._budget.first_positives - len(positives), self._budget.first_negatives - len(negatives)
        features = (pad(x, (0, 0, 0, n)) for x, n in zip((positives, negatives), lacking, strict=True))
        assert isinstance(drawn.kept, Tensor), "on a GPU all masks are drawn at once"
        return Layers(*self._descended(*features, drawn.easy, drawn.candidates, drawn.kept))

    def _descend(
        self, positives: Tensor, negatives: Tensor, easy: Tensor, candidates: Tensor, kept: Tensor
    ) -> tuple[Tensor, ...]:
        layers = Layers(*(t.clone() for t in self._initial.tensors()))
        drawn = Lesson(Rows.all_of(positives), Rows.all_of(negatives), easy, candidates, kept)
        descend(layers, layers.zeros(), [drawn], self._rate)
        return layers.tensors()
