"""S students in lockstep, each in an episode of its own: their boxes, memories and rewards (Section 3.2).

When an episode ends, the student's next one begins in the same step of the batch: no student waits for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from teachers.gpu.upload import uploaded
from trainer.crops import crop_batch, incomplete
from trainer.curriculum import Curriculum
from trainer.episodes import COLUMNS, FIRST, Clip, Reader, Row
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
        incomplete: Share of the states' two crops that show more than was stored, (S,); known with `crops`.
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
        self._nobody = torch.zeros(S, dtype=torch.bool, device=device)
        self._episode = [0] * S
        self._t = [1] * S
        self._steps = [0] * S
        self._clips: list[Clip] = []
        self._tables = torch.zeros(S, length, sum(COLUMNS), device=device)
        self._firsts = torch.zeros(S, sum(FIRST), device=device)
        self._gained = torch.zeros(2, S, device=device)
        self._finished: _Finished | None = None
        self._looked: Row | None = None
        self._seen: tuple[Tensor, Tensor] | None = None
        self._curricula = [Curriculum(options.curriculum, length - 1, each) for each in grows]
        self.box = torch.zeros(S, 4, device=device)
        self.incomplete = torch.zeros(S, device=device)
        self.memory = LSTMState(torch.zeros(S, width, device=device), torch.zeros(S, width, device=device))

    def __len__(self) -> int:
        """S."""
        return len(self._numbers)

    @property
    def curricula(self) -> list[Curriculum]:
        """One per student, with all episodes that are over."""
        self._settle()
        return self._curricula

    def begin(self) -> None:
        """Begin everybody's first episode."""
        self._begin([c.horizon for c in self._curricula])
        self.box = self._firsts[:, :4].clone()

    def _begin(self, steps: list[int]) -> None:
        """Everybody enters an episode of so many steps, of which nothing was read ahead."""
        for number, episode, most in zip(self._numbers, self._episode, steps, strict=True):
            self._reader.prepare(number, episode, most)
        everybody = list(range(len(self)))
        self._clips = self._enter(everybody, steps)
        for s in everybody:
            self._last_until(s, steps[s])

    def _enter(self, rows: list[int], most: list[int]) -> list[Clip]:
        """Lay the frames of episodes of at most so many steps into rows."""
        clips = [
            self._reader.take(self._numbers[s], self._episode[s], steps)
            for s, steps in zip(rows, most, strict=True)
        ]
        places = uploaded(np.array(rows), self._device)
        self._tables.index_copy_(0, places, torch.stack([clip.table for clip in clips]))
        self._firsts.index_copy_(0, places, torch.stack([clip.first for clip in clips]))
        return clips

    def _last_until(self, s: int, steps: int) -> None:
        """Say how long an episode is, and have the next one decoded."""
        self._steps[s] = steps
        self._reader.prepare(self._numbers[s], self._episode[s] + 1, self._curricula[s].longest_next)

    def _look(self) -> Row:
        """What is known of the frames t - 1 and t, (2, S, ...): one look for all that a step asks."""
        if self._looked is None:
            t = uploaded(np.array(self._t), self._device)
            self._looked = Row.of(self._tables[self._rows, torch.stack([t - 1, t])])
        return self._looked

    def _now(self) -> Row:
        """What is known of the current frames, (S, ...)."""
        return Row(*(part[1] for part in self._look()))

    def crops(self) -> tuple[Tensor, Tensor]:
        """The states s_t: F_{t-1} and F_t around b_{t-1}, float (S, 3, size, size) each; made once per step."""
        if self._seen is None:
            both = self._look()
            images = [clip.images[t - 1] for clip, t in zip(self._clips, self._t, strict=True)]
            images += [clip.images[t] for clip, t in zip(self._clips, self._t, strict=True)]
            o = self._options.student
            around = seen_box(self.box, both.sizes[1, :, 0], both.sizes[1, :, 1]).repeat(2, 1)
            places, sizes = both.windows.flatten(0, 1), both.sizes.flatten(0, 1)
            made = crop_batch(images, places, sizes, around, o.crop_size, o.context, self._device)
            self.incomplete = incomplete(around, places, sizes, o.context).view(2, -1).float().mean(dim=0)
            if self._options.episode.tint:
                _, *tints = torch.split(self._firsts, FIRST, dim=1)
                contrast, brightness = (tint.repeat(2, 1)[..., None, None] for tint in tints)
                made = made * contrast + brightness
            previous, current = made.chunk(2)
            self._seen = (previous, current)
        return self._seen

    def frame(self) -> Frame:
        """The actions that would be right in the current frames, and the teachers' rewards."""
        now = self._now()

        def action(box: Tensor) -> Tensor:
            return torch.where(now.present[:, None], action_between(box, self.box), torch.zeros_like(box))

        gained = reward(overlap(now.target, now.truth))
        gained = torch.where(now.present, gained, torch.zeros_like(gained))
        followed = action_between(now.followed, self.box)
        return Frame(action(now.truth), action(now.target), followed, gained, now.present)

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
        self._settle()
        ends = [t >= steps for t, steps in zip(self._t, self._steps, strict=True)]
        self._t = [t + 1 for t in self._t]
        self._looked = self._seen = None
        self.memory = memory
        if not any(ends):
            return gained, overlaps, self._nobody
        ended = uploaded(np.array(ends), self._device)
        self._finish([s for s, over in enumerate(ends) if over], ended)
        return gained, overlaps, ended

    def rewards(self, actions: Tensor, frame: Frame) -> Tensor:
        """What actions (K, S, 4) would get in this step, (K, S)."""
        return self._outcome(actions, frame)[2]

    def _outcome(self, actions: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (..., S, 4), overlaps and rewards (..., S) that actions (..., S, 4) lead to."""
        now = self._now()
        moved = transition(actions.detach().clamp(-1.0, 1.0), self.box)
        box = clip_box(moved, now.sizes[:, 0], now.sizes[:, 1], self._options.student.smallest_box)
        found = overlap(box, now.truth)
        nothing = torch.zeros_like(found)
        overlaps = torch.where(frame.present, found, nothing)
        return box, overlaps, torch.where(frame.present, reward(found), nothing)

    def _finish(self, rows: list[int], ended: Tensor) -> None:
        """Let those who are at their end, bool (S,), begin anew.

        How long the new episodes are depends on what was gained in the old ones, which a GPU may not know yet. They
        last a step at least, and before that step ends `_settle` asks.
        """
        self._finished = _Finished(rows, *_on_its_way(self._gained))
        for s in rows:
            self._episode[s] += 1
            self._t[s] = 1
        clips = self._enter(rows, [self._curricula[s].longest_next for s in rows])
        for s, clip in zip(rows, clips, strict=True):
            self._clips[s] = clip
        self.memory = self.memory.where(~ended, self.memory.begun_anew())
        self._gained = torch.where(ended, torch.zeros_like(self._gained), self._gained)
        self.box = torch.where(ended[:, None], self._firsts[:, :4], self.box)

    def _settle(self) -> None:
        """Count the episodes that ended last; only now is the length of those begun since then known."""
        if self._finished is None:
            return
        rows, sums, copied = self._finished
        self._finished = None
        if copied is not None:
            copied.synchronize()
        for s, own, teacher in zip(rows, *sums[:, rows].tolist(), strict=True):
            self._curricula[s].finish(own, teacher)
            self._last_until(s, self._curricula[s].horizon)

    def cut(self) -> None:
        """Forget how the memory came about, for gradients end here, or all of it where it is not to be carried on."""
        fresh = self._options.episode.memory == "fresh"
        self.memory = self.memory.begun_anew() if fresh else self.memory.detach()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, student by student; tensors on the CPU."""
        self._settle()
        return {
            "episode": list(self._episode),
            "t": list(self._t),
            "steps": list(self._steps),
            "box": self.box.cpu().clone(),
            "hidden": self.memory.hidden.detach().cpu().clone(),
            "cell": self.memory.cell.detach().cpu().clone(),
            "gained": self._gained.T.cpu().clone(),
            "curricula": [c.state() for c in self._curricula],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `joined` was taken, of which this process's students are a part."""
        own = slice(self._numbers[0], self._numbers[-1] + 1)
        state = {name: values[own] for name, values in state.items()}
        self._episode, self._t = list(state["episode"]), list(state["t"])
        for s, values in enumerate(state["curricula"]):
            old = self._curricula[s]
            self._curricula[s] = Curriculum(old.options, old.most, old.grows, **values)
        self._begin(state["steps"])
        self.box = state["box"].to(self._device)
        self.memory = LSTMState(state["hidden"].to(self._device), state["cell"].to(self._device))
        self._gained = state["gained"].T.to(self._device)
        self._finished = self._looked = self._seen = None


def joined(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`Interactions.state` of all students, from those of each process, by rank."""

    def together(parts: list[Any]) -> Any:  # noqa: ANN401  # a list or a tensor, of a value per student
        return (
            torch.cat(parts) if isinstance(parts[0], Tensor) else [value for part in parts for value in part]
        )

    return {name: together([state[name] for state in states]) for name in states[0]}


class _Finished(NamedTuple):
    """Episodes that are over and not yet counted.

    Attributes:
        rows: Whose.
        sums: On the CPU, what everybody and everybody's teacher gained, (2, S); when `copied` has happened.
        copied: None where it has.
    """

    rows: list[int]
    sums: Tensor
    copied: torch.cuda.Event | None


def _on_its_way(values: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """A copy on the CPU of values that are not overwritten; an event tells when it is there, where it takes time."""
    if values.device.type != "cuda":
        return values.cpu(), None
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # PyTorch's own
    copied.record(torch.cuda.current_stream(values.device))
    return copy, copied
