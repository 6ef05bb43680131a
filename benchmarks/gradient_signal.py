"""How much of an update's gradient is signal: that of imitation (Eq. 3) beside that of the policy loss (Eq. 6).

Example:
    python benchmarks/gradient_signal.py data/transfer/P-0.5.h5 runs/small/best.safetensors

A student's gradients are taken again and again without a step, each on other episodes, so that they differ by chance
alone. Their halves' means agree in the signal: with g = s + n, mean_1 . mean_2 estimates |s|^2. What is printed: the
share |s|^2 / E|g|^2 of one update of 12 students of either kind; the updates whose mean is half signal; and the cosine
between the two signals. Gradients are of all weights that an action depends on.
"""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from datasets.command_line import run_only_command
from trainer.episodes import Reader
from trainer.interactions import Interactions
from trainer.learner import Learner
from trainer.losses import losses
from trainer.options import CurriculumOptions, EpisodeOptions, LossOptions, TrainOptions
from trainer.processes import Processes
from trainer.student import load_student
from trainer.windows import open_windows


class Probe(Learner):
    """A learner that makes no update."""

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Of the mean imitation loss of those who distil, and of the mean policy loss of those who do not."""
        self.student.train()
        self.student.backbone.train(False)
        segment, *_ = self._interact()
        found = losses(segment, self._distilling, self.options.loss)
        weights = [p for name, p in self.student.named_parameters() if not name.startswith("critic.")]
        means = found.imitation[self._distilling].mean(), found.policy[self._autonomous].mean()
        flat = [
            torch.cat([g.ravel() for g in torch.autograd.grad(mean, weights, retain_graph=True)])
            for mean in means
        ]
        self._interactions.cut()
        self.updates += 1  # the noise of actions is a function of it
        return flat[0], flat[1]


class Sums:
    """Of one gradient over two halves of the updates."""

    def __init__(self) -> None:
        self.halves: list[Tensor | float] = [0.0, 0.0]
        self.squares = 0.0
        self.count = 0

    def add(self, gradient: Tensor) -> None:
        """Count a gradient."""
        self.halves[self.count % 2] = self.halves[self.count % 2] + gradient.double()
        self.squares += float(gradient.double().square().sum())
        self.count += 1

    def means(self) -> list[Tensor]:
        """Of either half."""
        return [torch.as_tensor(half) / (self.count // 2) for half in self.halves]

    def signal(self) -> float:
        """|s|^2; by chance below 0 where there is next to none."""
        first, second = self.means()
        return float(first @ second)


@dataclass(frozen=True)
class Command:
    """Take gradients and print a Markdown table.

    Example:
        python benchmarks/gradient_signal.py data/transfer/P-0.5.h5 runs/small/best.safetensors
    """

    data: tyro.conf.Positional[Path]
    """The transfer set."""

    weights: tyro.conf.Positional[tuple[Path, ...]]
    """Students."""

    updates: int = 300
    """Gradients of each."""

    horizon: int = 15
    """Steps of an episode."""

    gamma: float = 1.0
    """γ that the students' values were learned with."""

    tries: int = 0
    """Further actions per step whose reward the policy's loss knows."""

    advantage: Literal["one-step", "to-go", "immediate"] = "one-step"
    """What the policy's loss weighs the action taken with."""

    seed: int = 0
    """Of episodes and noise."""

    threads: int = 1
    """Of PyTorch."""

    def run(self) -> int:
        """Measure and print."""
        torch.set_num_threads(self.threads)
        print("| student | loss | signal / gradient, squared | updates for half | cosine with imitation |")
        print("|---|---|---|---|---|", flush=True)
        for path in self.weights:
            imitation, policy = self._measure(path)
            between = sum(
                float(a @ b) for a, b in zip(imitation.means(), reversed(policy.means()), strict=True)
            )
            product = imitation.signal() * policy.signal()
            cosine = between / 2 / math.sqrt(product) if product > 0 else math.nan
            for name, sums, beside in (("imitation", imitation, 1.0), ("policy", policy, cosine)):
                share = sums.signal() / (sums.squares / sums.count)
                wanted = f"{(1 - share) / share:.0f}" if share > 0 else f"more than {self.updates}"
                print(f"| {path} | {name} | {share:.4f} | {wanted} | {beside:.2f} |", flush=True)
        return 0

    def _measure(self, path: Path) -> tuple[Sums, Sums]:
        student = load_student(path)
        options = TrainOptions(
            seed=self.seed,
            init=path,
            student=student.options,
            episode=EpisodeOptions(mirror=0.5, reverse=0.5, turn=0.75, hurry=0.5, tint=0.4, shake=0.1),
            loss=LossOptions(gamma=self.gamma, advantage=self.advantage, tries=self.tries),
            curriculum=CurriculumOptions(start=self.horizon, episodes=sys.maxsize),
        )
        device = torch.device("cpu")
        imitation, policy = Sums(), Sums()
        with ExitStack() as stack:
            windows = open_windows([self.data])
            stack.callback(windows.close)
            reader = stack.enter_context(Reader(options, windows, device))
            numbers = list(range(options.students))
            grows, width = [True] * len(numbers), student.options.width
            now = Interactions(options, reader, numbers, windows.length, width, grows, device)
            now.begin()
            probe = Probe(student, now, numbers, options, Processes(0, 1, device))
            for _ in range(self.updates):
                for sums, gradient in zip((imitation, policy), probe.gradients(), strict=True):
                    sums.add(gradient)
        return imitation, policy


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/gradient_signal.py"))
