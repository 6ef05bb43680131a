"""The batched, synchronous learner: one call of the network per step for all students, one update per segment.

The paper runs 24 students asynchronously, each with a copy of the weights (Section 3.3). Here all of them take a
step together; after t_max steps the mean of their gradients makes one update. The noise of an update is a function of
(seed, update), drawn for all processes' students, so that neither a resumption nor the number of processes changes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from teachers.gpu.upload import uploaded
from trainer.average import Average
from trainer.interactions import Interactions
from trainer.losses import Losses, Segment, losses, mask
from trainer.options import RECIPES, TrainOptions
from trainer.processes import Processes
from trainer.student import LSTMState, Student, StudentOutput, diverged

MEASURES = (
    "steps",
    "distilling",
    "imitating",
    "autonomous",
    "judging",
    "loss_imitation",
    "loss_policy",
    "loss_value",
    "reward_imitation",
    "reward_autonomous",
    "teacher_reward",
    "overlap",
    "masked",
    "incomplete",
    "gradient_norm",
    "updates",
)
"""What `Learner.measures` adds up, in this order; see `means`."""


class Learner:
    """Updates a student from its interactions.

    Args:
        student: On its device; what is learnt is its weights.
        interactions: This process's students.
        numbers: Their numbers among all processes' students.
        options: Of the run.
        processes: This one and its peers.

    Attributes:
        updates: Made so far.
        measures: Sums since the last `means`, float64 (len(MEASURES),).
    """

    def __init__(
        self,
        student: Student,
        interactions: Interactions,
        numbers: list[int],
        options: TrainOptions,
        processes: Processes,
    ) -> None:
        self.student = student
        self.options = options
        self.updates = 0
        # The LSTM is not compiled: PyTorch leaves it as it is, and cuts what it compiles there. Sizes are taken as they
        # come, which are two: of all students, and of those whose value goes on after the segment.
        self._see: Callable[[Tensor, Tensor], Tensor] = (
            _compiled(student) if options.machine.compile else student.see
        )
        self._interactions = interactions
        self._processes = processes
        self._numbers = numbers
        recipe = RECIPES[options.recipe]
        roles = [recipe.role(n) for n in numbers]
        device = processes.device

        def having(role: str) -> Tensor:
            return torch.tensor([r == role for r in roles], device=device)

        self._distilling, self._imitating, self._autonomous, self._following = map(
            having, ("distilling", "imitating", "autonomous", "following")
        )
        self._imitators = self._distilling | self._imitating
        judges = [
            options.loss.value_students == "all" or role in ("autonomous", "following") for role in roles
        ]
        self._judging = torch.tensor(judges, device=device)
        # Rows, because to choose by a mask is to wait until a GPU has counted it.
        self._judged = self._judging.nonzero().flatten()
        counts = [
            float(options.segment * each)
            for each in (
                len(numbers),
                *(roles.count(role) for role in ("distilling", "imitating", "autonomous")),
                sum(judges),
            )
        ]
        self._counts = torch.tensor(counts, dtype=torch.float64, device=device)
        self._one = torch.tensor([1.0 / processes.count], dtype=torch.float64, device=device)
        imitators = sum(role in ("distilling", "imitating") for role in recipe.roles) / len(recipe.roles)
        scale = options.students if options.optimiser.scaling == "students" else 1
        self._rate = options.optimiser.learning_rate * scale
        critic = list(student.critic.parameters())
        others = [p for name, p in student.named_parameters() if not name.startswith("critic.")]
        self._factors = 1.0, options.optimiser.critic_rate
        self.optimiser = torch.optim.RAdam(
            [{"params": others}, {"params": critic}],
            lr=self._rate,
            weight_decay=options.loss.weight_decay * imitators,
        )
        self._average = Average(student, options.optimiser.average) if options.optimiser.average else None
        self.measures = torch.zeros(len(MEASURES), dtype=torch.float64, device=device)

    @property
    def result(self) -> Student:
        """The student to track with: of the weights' running mean where one is asked for."""
        return self.student if self._average is None else self._average.student

    def update(self, stop: bool = False) -> bool:
        """Take t_max steps and make one update.

        Args:
            stop: This process wants to stop.

        Returns:
            Any process wants to stop.

        Raises:
            ValueError: If an action is not finite; on a GPU `means` tells.
            DataError: If a stored image is damaged.
        """
        # cuDNN's LSTM has a way back in training mode alone; freezing concerns the normalisation.
        self.student.train()
        self.student.backbone.train(self.options.optimiser.batch_norm == "batch")
        segment, overlaps, incomplete = self._interact()
        o = self.options.loss
        whose = self._imitators, self._autonomous, self._judging
        learnt = Losses(
            *(
                torch.where(own, loss, torch.zeros_like(loss))
                for own, loss in zip(whose, losses(segment, self._distilling, o), strict=True)
            )
        )
        value_weight = o.reinforcement_weight if o.value_weight is None else o.value_weight
        weighted = learnt.imitation, o.reinforcement_weight * learnt.policy, value_weight * learnt.value
        total = torch.stack(weighted).sum() / self.options.students
        self.optimiser.zero_grad(set_to_none=False)
        total.backward()  # type: ignore[no-untyped-call]  # PyTorch's own
        stop = self._processes.sum_gradients(self.student.parameters(), stop)
        limit = self.options.optimiser.clip_gradient
        norm = nn.utils.clip_grad_norm_(self.student.parameters(), math.inf if limit is None else limit)
        for group, factor in zip(self.optimiser.param_groups, self._factors, strict=True):
            group["lr"] = self._rate * factor * self._decay()
        self.optimiser.step()
        self.updates += 1
        if self._average is not None:
            self._average.add(self.student, self.updates)
        self._measure(segment, learnt, overlaps, incomplete, norm)
        self._interactions.cut()
        return stop

    def _decay(self) -> float:
        done = min(self.updates / self.options.optimiser.updates, 1.0)
        match self.options.optimiser.decay:
            case "linear":
                return 1.0 - done
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * done))
            case _:
                return 1.0

    def _noise(self) -> tuple[Tensor, Tensor]:
        """Standard normal for this process's students: of the actions taken, (T, S, 4), and tried, (T, K, S, 4)."""
        seed = np.random.SeedSequence([self.options.seed, 2, self.updates]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(seed) >> 1)
        T, S, tries = self.options.segment, self.options.students, self.options.loss.tries
        taken = torch.randn(T, S, 4, generator=generator)[:, self._numbers]
        tried = torch.randn(T, tries, S, 4, generator=generator)[:, :, self._numbers]
        device = self._processes.device
        return uploaded(taken.numpy(), device), uploaded(tried.numpy(), device)

    def _interact(self) -> tuple[Segment, Tensor, Tensor]:
        """Take the steps of a segment; with it the boxes' overlaps and the share of incomplete crops, (T, S) each."""
        o, now = self.options, self._interactions
        steps: list[tuple[Tensor, ...]] = []
        for noise, noises in zip(*self._noise(), strict=True):
            answer = self._answer(*now.crops(), now.memory)
            # On a GPU asking would be to wait; there `means` finds what comes of it.
            if self._processes.device.type == "cpu" and not bool(answer.action.isfinite().all()):
                raise diverged(f"after update {self.updates} an action")
            frame, incomplete = now.frame(), now.incomplete
            mean = answer.action
            sigma = (mean - frame.truth).abs().clamp_min(o.loss.sigma_floor)
            sigma = sigma if o.loss.sigma_gradient else sigma.detach()
            sample = (mean + sigma * noise).detach()
            samples = self._autonomous if o.episode.execute == "mean" else torch.ones_like(self._autonomous)
            taken = torch.where(samples[:, None], sample, mean.detach())
            taken = torch.where(self._following[:, None], frame.followed, taken)
            tried = (mean + sigma * noises).detach()
            tried_reward = now.rewards(tried, frame)
            reward, overlaps, ends = now.act(taken, answer.state, frame)
            target = torch.where(self._imitating[:, None], frame.truth, frame.teacher)
            if o.loss.clip_targets:
                target = target.clamp(-1.0, 1.0)
            kept = (
                mean,
                answer.value,
                sigma,
                sample,
                target,
                reward,
                frame.teacher_reward,
                frame.present,
                ends,
                tried.transpose(0, 1),
                tried_reward.transpose(0, 1),
                overlaps,
                incomplete,
            )
            steps.append(kept)
        *stacked, tried, tried_reward, overlaps, incomplete = map(torch.stack, zip(*steps, strict=True))
        segment = Segment._make([*stacked, self._bootstrap(), tried, tried_reward])
        return segment, overlaps, incomplete

    def _bootstrap(self) -> Tensor:
        """Values of the states that the segment stops at, (S,), 0 for students that do not need it."""
        now, rows = self._interactions, self._judged
        value = torch.zeros(len(now), device=self._processes.device)
        if len(rows):
            previous, current = (crops[rows] for crops in now.crops())
            memory = LSTMState(now.memory.hidden[rows], now.memory.cell[rows])
            with torch.no_grad():
                value[rows] = self._answer(previous, current, memory).value
        return value

    def _answer(self, previous: Tensor, current: Tensor, memory: LSTMState) -> StudentOutput:
        kind, mixed = self._processes.device.type, self.options.machine.precision == "bfloat16"
        with torch.autocast(kind, torch.bfloat16, enabled=mixed):
            x = self._see(previous, current)
        # Under autocast cuDNN's LSTM computes in float16 whatever type is asked for: small gradients would be zeros.
        with torch.autocast(kind, torch.bfloat16, enabled=mixed and kind == "cpu"):
            action, value, state = self.student.decide(x.float(), memory)
        return StudentOutput(action.float(), value.float(), LSTMState(*(part.float() for part in state)))

    @torch.no_grad()
    def _measure(
        self, segment: Segment, learnt: Losses, overlaps: Tensor, incomplete: Tensor, norm: Tensor
    ) -> None:
        taught = mask(segment, self.options.loss) * segment.counts
        sums = (
            *(loss.sum() for loss in learnt),
            (segment.reward * self._imitators).sum(),
            (segment.reward * self._autonomous).sum(),
            segment.teacher_reward.sum(),
            overlaps.sum(),
            (taught * self._distilling).sum(),
            incomplete.sum(),
            norm / self._processes.count,
        )
        self.measures += torch.cat([self._counts, torch.stack([s.double() for s in sums]), self._one])

    def means(self) -> dict[str, float]:
        """Means per step (per student's step of the kind meant) over all processes since the last call.

        Raises:
            ValueError: If the losses are no longer finite.
        """
        found = self._processes.sum(self.measures).tolist()
        m = dict(zip(MEASURES, found, strict=True))
        horizons = torch.tensor(
            [float(sum(c.horizon for c in self._interactions.curricula))], device=self._processes.device
        )
        horizon = float(self._processes.sum(horizons)) / self.options.students
        self.measures.zero_()
        if not all(map(math.isfinite, found)):
            raise diverged(f"before update {self.updates} a loss")
        imitators = m["distilling"] + m["imitating"]

        def per(sum_: str, count: float) -> float:
            return m[sum_] / count if count else math.nan

        values = {
            "loss/imitation": per("loss_imitation", imitators),
            "loss/policy": per("loss_policy", m["autonomous"]),
            "loss/value": per("loss_value", m["judging"]),
            "reward/imitation": per("reward_imitation", imitators),
            "reward/autonomous": per("reward_autonomous", m["autonomous"]),
            "reward/teacher": per("teacher_reward", m["steps"]),
            "overlap": per("overlap", m["steps"]),
            "masked": per("masked", m["distilling"]),
            "incomplete": per("incomplete", m["steps"]),
            "gradient": per("gradient_norm", m["updates"]),
            "horizon": horizon,
        }
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def check(self) -> None:
        """See that the weights are worth keeping.

        Raises:
            ValueError: If one of them is not finite.
        """
        if not all(bool(p.isfinite().all()) for p in self.result.parameters()):
            raise diverged(f"after update {self.updates} a weight")

    def state(self) -> dict[str, Any]:
        """Everything but the students' interactions, for `restore`; all processes have to ask at once."""
        measures = self._processes.sum(self.measures)
        return {
            "student": _copied(self.student),
            "average": None if self._average is None else _copied(self._average.student),
            "optimiser": self.optimiser.state_dict(),
            "updates": self.updates,
            "measures": measures.cpu().clone(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.student.load_state_dict(state["student"])
        if self._average is not None:
            self._average.restore(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.updates = state["updates"]
        self.measures.zero_()
        if self._processes.first:  # what all had counted goes on in one
            self.measures.copy_(state["measures"])


def _compiled(student: Student) -> Callable[[Tensor, Tensor], Tensor]:
    """`Student.see`, compiled when it is called first; a ValueError where that cannot be done here."""
    from torch._dynamo.exc import TorchDynamoException  # only who compiles has to wait for it

    compiled = torch.compile(student.see, dynamic=False)

    def see(previous: Tensor, current: Tensor) -> Tensor:
        try:
            result: Tensor = compiled(previous, current)
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"machine.compile: PyTorch cannot compile the network here ({reason}). Install a C++ compiler, on a "
                "GPU Triton as well, or leave the option away"
            ) from error
        return result

    return see


def _copied(student: Student) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in student.state_dict().items()}
