"""`python -m teachers.training.mdnet`: train the slim MDNet that the project ships, on procedural video alone.

After Nam and Han, Learning Multi-Domain Convolutional Neural Networks for Visual Tracking, CVPR 2016, Section 3: every
video is a domain, an iteration takes patches of one domain, and only the last layer is the domain's own. What differs
is in `mdnet_network`. Hard negative mining is off.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from datasets.atomic import appearing
from datasets.command_line import progress, run_only_command
from teachers.devices import usable
from teachers.mdnet.crop import as_input
from teachers.mdnet.network import Widths
from teachers.training.checkpoint import read_checkpoint
from teachers.training.mdnet_domains import Domain, draw_domain, generator, minibatch, order
from teachers.training.mdnet_network import SCALE, MultiDomain

SLIM = Widths(32, 64, 128, 128, 128)
"""Of the network that is shipped: a third, a quarter and a quarter of the published convolutions."""

RATE, DECAY, LONGEST = 1e-3, 1e-2, 10.0
"""Highest learning rate and weight decay of AdamW, and where the L2 norm of the gradient is cut."""

WARM = 100
"""Iterations over which the rate rises."""

REPORTED = 100
"""Iterations whose mean loss is one entry of the record."""

SAVED = 120.0
"""Seconds between checkpoints."""


@dataclass(frozen=True)
class Schedule:
    """How long a training lasts; the rate falls to zero along a cosine of whichever share is larger.

    Attributes:
        iterations: Steps of AdamW.
        minutes: Wall time after which it stops; a run that this stops is not the same on another machine.
    """

    iterations: int
    minutes: float

    def share(self, iteration: int, seconds: float) -> float:
        """How much of the training is over, 1 at its end."""
        return max(iteration / self.iterations, seconds / (60 * self.minutes))

    def rate(self, iteration: int, seconds: float) -> float:
        """The learning rate of an iteration."""
        rising = min(1.0, (iteration + 1) / WARM)
        return RATE * rising * 0.5 * (1 + math.cos(math.pi * min(1.0, self.share(iteration, seconds))))


class Training:
    """A network in training, and the record of it.

    Args:
        domains: The videos.
        seed: Of weights, orders, patches and dropout masks.
        widths: Of the shared layers.
        device: Where it runs; the patches are cut on the CPU.

    Attributes:
        iteration: Of the next step.
        seconds: Spent in steps.
        losses: Mean loss of every `REPORTED` steps.
    """

    def __init__(self, domains: list[Domain], seed: int, widths: Widths = SLIM, device: str = "cpu") -> None:
        self.domains, self.seed, self.device = domains, seed, torch.device(device)
        self.network = MultiDomain(widths, seed).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self.network.standardise(self.minibatch(0)[0])
        self.optimiser = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=DECAY)
        self.iteration, self.seconds = 0, 0.0
        self.losses: list[float] = []
        self._recent: list[float] = []

    def minibatch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """The patches of an iteration, float32 (N, 3, 107, 107), and the shifts of its positives, (POSITIVES, 4)."""
        domain = self.domains[order(self.seed, iteration, len(self.domains))]
        drawn = minibatch(domain, generator(self.seed, f"iteration/{iteration}"))
        patches = as_input(drawn.patches).to(self.device).div_(SCALE)
        return patches, torch.from_numpy(drawn.shifts).to(self.device)

    def step(self, rate: float) -> float:
        """One iteration; returns its loss."""
        begin = time.perf_counter()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.seed * 1_000_003 + self.iteration)  # dropout masks
        self.network.train()
        loss = self.network.loss(*self.minibatch(self.iteration))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own lack
        nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST)
        self.optimiser.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"iteration {self.iteration}: the loss is {value}, lower RATE")
        self._recent.append(value)
        self.iteration += 1
        if self.iteration % REPORTED == 0:
            self.losses.append(round(float(np.mean(self._recent)), 4))
            self._recent.clear()
        self.seconds += time.perf_counter() - begin
        return value

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs; the domains are drawn again."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "record": {
                "iteration": self.iteration,
                "seconds": self.seconds,
                "losses": self.losses,
                "recent": self._recent,
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the same options."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        record = state["record"]
        self.iteration, self.seconds = record["iteration"], record["seconds"]
        self.losses, self._recent = list(record["losses"]), list(record["recent"])


@dataclass(frozen=True)
class Train:
    """Train a slim MDNet on procedural video; it is not the published network.

    Writes the weights (safetensors, float16) and a .json of the same name with the seed, the time, the machine and the
    losses.

    Example:
        python -m teachers.training.mdnet --out slim.safetensors --seed 0 --minutes 30
    """

    out: Path
    """The weights; `--out slim.safetensors` also writes slim.json, and slim.partial.pt until it is finished."""
    seed: int = 0
    """Another seed gives other videos, other first weights and other patches."""
    minutes: float = 30.0
    """Wall time after which it stops, drawing the videos not counted."""
    iterations: int = 2400
    """Minibatches; whatever is over first, these or the minutes, ends the training."""
    domains: int = 160
    """Videos."""
    length: int = 10
    """Frames of each video."""
    device: str = "cpu"
    """Where the network runs: cpu, cuda or cuda:1."""
    threads: int = 1
    """PyTorch's threads on the CPU."""
    resume: bool = False
    """Go on from slim.partial.pt, which a killed run has left."""

    def run(self) -> int:
        """Train and write."""
        if self.out.suffix != ".safetensors":
            raise ValueError(f"--out {self.out}: give it a name that ends in .safetensors")
        for name in ("minutes", "iterations", "domains", "length", "threads"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name} {getattr(self, name)}: give a positive number")
        usable("teachers.training.mdnet", self.device)
        torch.set_num_threads(self.threads)
        partial, options = self.out.with_suffix(".partial.pt"), self.options()
        state = read_checkpoint(partial, options) if self.resume else None
        with progress("videos") as bar:
            drawing = bar.add_task("drawing", total=self.domains)
            domains = []
            for index in range(self.domains):
                domains.append(draw_domain(self.seed, index, self.length))
                bar.advance(drawing)
        training = Training(domains, self.seed, SLIM, self.device)
        if state is not None:
            training.restore(state)
        self._train(training, partial, options)
        write(self.out, training, options)
        partial.unlink(missing_ok=True)
        print(f"{self.out}: {training.iteration} iterations, loss {training.losses[-1:]}", file=sys.stderr)
        return 0

    def options(self) -> dict[str, int]:
        """What the weights are a function of."""
        return {key: getattr(self, key) for key in ("seed", "iterations", "domains", "length")}

    def _train(self, training: Training, partial: Path, options: dict[str, int]) -> None:
        schedule = Schedule(self.iterations, self.minutes)
        saved = training.seconds
        with progress("iterations") as bar:
            task = bar.add_task("training", total=self.iterations, completed=training.iteration)
            while schedule.share(training.iteration, training.seconds) < 1:
                training.step(schedule.rate(training.iteration, training.seconds))
                bar.update(task, completed=training.iteration)
                if training.seconds - saved > SAVED:
                    saved = training.seconds
                    with appearing(partial) as path:
                        torch.save({"options": options, **training.state()}, path)
                    print(f"iteration {training.iteration}: losses {training.losses[-8:]}", file=sys.stderr)


def write(out: Path, training: Training, options: dict[str, int]) -> None:
    """Write the shared layers, and beside them the record."""
    record = {
        "what": "MDNet, slim, trained on procedural video alone by teachers.training.mdnet; not the published MDNet",
        "options": options,
        "widths": asdict(training.network.shared.widths),
        "iterations": training.iteration,
        "ended by": "iterations" if training.iteration >= options["iterations"] else "minutes",
        "minutes": round(training.seconds / 60, 1),
        "machine": f"{platform.machine()} {platform.system()}, {training.device}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads",
        "losses": {"per": REPORTED, "mean": training.losses},
    }
    with appearing(out) as path:
        # Bytes, not `save_file`, whose files nobody else may read.
        path.write_bytes(safetensors.torch.save({k: v.half() for k, v in training.network.shipped().items()}))
    with appearing(out.with_suffix(".json")) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_only_command(Train, "python -m teachers.training.mdnet"))
