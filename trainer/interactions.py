"""S students in lockstep, each in an episode of its own: their boxes, memories and rewards (Section 3.2).

When an episode ends, the student's next one begins in the same step of the batch: no student waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.crops import crop_batch
from trainer.curriculum import Curriculum
from trainer.episodes import Clip, Reader
from trainer.mdp import action_between, clip_box, overlap, reward, seen_box, transition
from trainer.options import TrainOptions
from trainer.student import LSTMState


@dataclass(frozen=True, eq=False)
class Frame:
    """What the S students' current frames hold, each (S, ...).

    Attributes:
        truth: Action that leads to the ground truth, (S, 4); 0 where the target is absent.
        teacher: Action that leads to the best teacher's box, (S, 4); likewise.
        followed: Action that leads to the box of the teacher that a following student follows, (S, 4).
        teacher_reward: What the best teacher's box would get, (S,); 0 where the target is absent.
        present: bool (S,).
    """

    truth: Tensor
    teacher: Tensor
    followed: Tensor
    teacher_reward: Tensor
    present: Tensor


class Interactions:
    """The episodes of this process's students.

    Args:
        options: Of the run.
        reader: Gives their clips.
        numbers: The students' numbers among those of all processes.
        length: L, frames of a window.
        width: Of the student's LSTM.
        grows: Which students' interactions begin short and grow.
        device: Where the tensors are.

    Attributes:
        box: b_{t-1}, (S, 4).
        memory: The LSTM's state.
        curricula: One per student.
    """

    def __init__(
        self,
        options: TrainOptions,
        reader: Reader,
        numbers: Sequence[int],
        length: int,
        width: int,
        grows: Sequence[bool],
        device: torch.device,
    ) -> None:
        S = len(numbers)
        self._options = options
        self._reader = reader
        self._numbers = list(numbers)
        self._device = device
        self._rows = torch.arange(S, device=device)
        self._episode = [0] * S
        self._t = [1] * S
        self._steps = [0] * S
        self._clips: list[Clip] = []
        self._windows = torch.zeros(S, length, 4, device=device)
        self._sizes = torch.zeros(S, length, 2, device=device)
        self._truth = torch.zeros(S, length, 4, device=device)
        self._target = torch.zeros(S, length, 4, device=device)
        self._followed = torch.zeros(S, length, 4, device=device)
        self._present = torch.zeros(S, length, dtype=torch.bool, device=device)
        self._tint = torch.zeros(2, S, 3, 1, 1, device=device)
        self._gained = torch.zeros(2, S, device=device)
        self._seen: tuple[Tensor, Tensor] | None = None
        self.curricula = [Curriculum(options.curriculum, length - 1, each) for each in grows]
        self.box = torch.zeros(S, 4, device=device)
        self.memory = LSTMState(torch.zeros(S, width, device=device), torch.zeros(S, width, device=device))

    def __len__(self) -> int:
        """S."""
        return len(self._numbers)

    def begin(self) -> None:
        """Begin everybody's first episode."""
        self._clips = [self._enter(s, self.curricula[s].horizon) for s in range(len(self))]
        for s, clip in enumerate(self._clips):
            self.box[s] = clip.start

    def _enter(self, s: int, steps: int) -> Clip:
        """Lay an episode's frames into row s, and have the next one decoded."""
        clip = self._reader.take(self._numbers[s], self._episode[s], steps)
        self._reader.prepare(self._numbers[s], self._episode[s] + 1, self.curricula[s].longest_next)
        self._steps[s] = steps
        self._windows[s], self._sizes[s] = clip.windows, clip.sizes
        self._truth[s], self._target[s], self._followed[s] = clip.truth, clip.target, clip.followed
        self._present[s] = clip.present
        for i, colours in enumerate((clip.plan.contrast, clip.plan.brightness)):
            self._tint[i, s, :, 0, 0] = torch.tensor(colours)
        return clip

    def crops(self) -> tuple[Tensor, Tensor]:
        """The states s_t: F_{t-1} and F_t around b_{t-1}, float (S, 3, size, size) each; made once per step."""
        if self._seen is None:
            t = torch.tensor(self._t, device=self._device)
            rows = self._rows
            images = [clip.images[t - 1] for clip, t in zip(self._clips, self._t, strict=True)]
            images += [clip.images[t] for clip, t in zip(self._clips, self._t, strict=True)]
            size = self._sizes[rows, t]
            around = seen_box(self.box, size[:, 0], size[:, 1])
            made = crop_batch(
                images,
                torch.cat([self._windows[rows, t - 1], self._windows[rows, t]]),
                torch.cat([self._sizes[rows, t - 1], size]),
                torch.cat([around, around]),
                self._options.student.crop_size,
                self._options.episode.context,
                self._device,
            )
            if self._options.episode.tint:
                contrast, brightness = self._tint.repeat(1, 2, 1, 1, 1)
                made = made * contrast + brightness
            previous, current = made.chunk(2)
            self._seen = (previous, current)
        return self._seen

    def frame(self) -> Frame:
        """The actions that would be right in the current frames, and the teachers' rewards."""
        t = torch.tensor(self._t, device=self._device)
        truth, target = self._truth[self._rows, t], self._target[self._rows, t]
        present = self._present[self._rows, t]

        def action(box: Tensor) -> Tensor:
            return torch.where(present[:, None], action_between(box, self.box), torch.zeros_like(box))

        gained = reward(overlap(target, truth))
        gained = torch.where(present, gained, torch.zeros_like(gained))
        followed = action_between(self._followed[self._rows, t], self.box)
        return Frame(action(truth), action(target), followed, gained, present)

    def act(self, action: Tensor, memory: LSTMState, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Take actions: boxes move, rewards are given, finished episodes make place for the next.

        Args:
            action: (S, 4), clamped here to [-1, 1].
            memory: The LSTM's new state.
            frame: What `frame` gave.

        Returns:
            Rewards (S,), overlaps (S,), and bool (S,): the episode ended with this step. Where the target is
            absent, reward and overlap are 0.
        """
        self.box, overlaps, gained = self._outcome(action, frame)
        self._gained += torch.stack([gained, frame.teacher_reward])
        self._seen = None
        ends = [t >= steps for t, steps in zip(self._t, self._steps, strict=True)]
        self._t = [t + 1 for t in self._t]
        ended = torch.tensor(ends, device=self._device)
        self.memory = memory
        if any(ends):
            self._finish([s for s, over in enumerate(ends) if over])
            fresh = LSTMState(*(torch.zeros_like(part) for part in memory))
            self.memory = memory.where(~ended, fresh)
        return gained, overlaps, ended

    def rewards(self, actions: Tensor, frame: Frame) -> Tensor:
        """What actions (K, S, 4) would get in this step, (K, S)."""
        return self._outcome(actions, frame)[2]

    def _outcome(self, actions: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (..., S, 4), overlaps and rewards (..., S) that actions (..., S, 4) lead to."""
        t = torch.tensor(self._t, device=self._device)
        size = self._sizes[self._rows, t]
        moved = transition(actions.detach().clamp(-1.0, 1.0), self.box)
        box = clip_box(moved, size[:, 0], size[:, 1], self._options.episode.smallest_box)
        overlaps = overlap(box, self._truth[self._rows, t])
        return box, overlaps, torch.where(frame.present, reward(overlaps), torch.zeros_like(overlaps))

    def _finish(self, rows: list[int]) -> None:
        sums = self._gained[:, rows].cpu().tolist()
        self._gained[:, rows] = 0.0
        box = self.box.clone()
        for s, own, teacher in zip(rows, *sums, strict=True):
            self.curricula[s].finish(own, teacher)
            self._episode[s] += 1
            self._t[s] = 1
            self._clips[s] = self._enter(s, self.curricula[s].horizon)
            box[s] = self._clips[s].start
        self.box = box

    def cut(self) -> None:
        """Forget how the memory came about: gradients end here."""
        self.memory = self.memory.detach()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs; tensors on the CPU."""
        return {
            "episode": list(self._episode),
            "t": list(self._t),
            "steps": list(self._steps),
            "box": self.box.cpu().clone(),
            "hidden": self.memory.hidden.detach().cpu().clone(),
            "cell": self.memory.cell.detach().cpu().clone(),
            "gained": self._gained.cpu().clone(),
            "curricula": [c.state() for c in self.curricula],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._episode, self._t = list(state["episode"]), list(state["t"])
        for s, values in enumerate(state["curricula"]):
            old = self.curricula[s]
            self.curricula[s] = Curriculum(old.options, old.most, old.grows, **values)
        self._clips = [self._enter(s, steps) for s, steps in enumerate(state["steps"])]
        self.box = state["box"].to(self._device)
        self.memory = LSTMState(state["hidden"].to(self._device), state["cell"].to(self._device))
        self._gained = state["gained"].to(self._device)
        self._seen = None
