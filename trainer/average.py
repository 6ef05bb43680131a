"""A running mean of the student's weights: tracks more steadily than the weights of any one update.

Polyak's averaging with exponentially falling weights; not in the paper, and off by default (`optimiser.average`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.student import Student


class Average:
    """The mean of a student's weights over its last updates.

    Args:
        student: With its first weights.
        decay: What an update leaves of the mean, 0..1; the first updates leave less, so that the first weights are
            soon forgotten.

    Attributes:
        student: Another student, of the mean weights. What is no weight (statistics of normalisation) is the latest.
    """

    def __init__(self, student: Student, decay: float) -> None:
        self.student = copy.deepcopy(student).requires_grad_(False)
        self.student.lstm.flatten_parameters()  # copied one by one; cuDNN would join them at every step
        self._decay = decay

    @torch.no_grad()
    def add(self, student: Student, updates: int) -> None:
        """Count a student's weights in, after so many updates."""
        share = 1.0 - min(self._decay, updates / (updates + 10))
        # In one call: on a GPU a kernel for each would cost more time than all the sums.
        torch._foreach_lerp_(list(self.student.parameters()), list(student.parameters()), share)
        for kept, now in zip(self.student.buffers(), student.buffers(), strict=True):
            kept.copy_(now)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the mean from `student`'s own saved state."""
        self.student.load_state_dict(state)
