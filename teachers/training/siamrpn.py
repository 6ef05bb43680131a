"""`python -m teachers.training.siamrpn`: train the slim SiamRPN on procedural pairs."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from datasets.atomic import appearing
from datasets.command_line import progress, run_only_command
from datasets.spec import open_dataset
from teachers.devices import usable
from teachers.siamrpn.factory import SiamRpn
from teachers.training.checkpoint import read_checkpoint
from teachers.training.scoring import mean, scores
from teachers.training.siamrpn_learner import Learner, Pairs, Precision, loader

WHAT = "slim SiamRPN, trained on procedural video only; not the published SiamRPN"

SETTLED, SETTLING = 0.5, 24
"""Share of the training after which the normalisations' statistics stay, and the batches they are averaged over."""


@dataclass
class Progress:
    """How far training is.

    Attributes:
        step: Steps done.
        seconds: Time spent.
        losses: Of classes and boxes, running means.
        drawn: Pairs drawn: those of the steps, and those over which the normalisations' statistics were averaged.
    """

    step: int = 0
    seconds: float = 0.0
    losses: tuple[float, float] = (math.log(2), 1.0)
    drawn: int = 0

    def learned(self, now: tuple[float, float], seconds: float) -> None:
        """Count a step with its losses; `seconds` is all the time spent so far."""
        keep = min(0.99, self.step / (self.step + 1))
        classes, boxes = (keep * a + (1 - keep) * b for a, b in zip(self.losses, now, strict=True))
        self.losses, self.step, self.seconds = (classes, boxes), self.step + 1, seconds


@dataclass(frozen=True)
class Train:
    """Train the slim SiamRPN on procedural pairs, and write its weights and how they came to be.

    The weights are float16 safetensors; beside them appears a .json file with the seed, the time, the machine, the
    losses and the scores. Training stops when its time is over; its checkpoint lets a later run go on.

    Example:
        python -m teachers.training.siamrpn --out slim.safetensors --minutes 60 --score otb:/data/OTB100
    """

    out: Path
    """The weights' file, .safetensors."""
    minutes: float = 60.0
    """How long to train, all runs together."""
    steps: int | None = None
    """Train this many steps, all runs together, however long that takes: for weights that can be had again."""
    seed: int = 0
    """Another seed gives other pairs and other first values."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1 ..."""
    threads: int = 1
    """Threads of the network on the CPU."""
    workers: int = 1
    """Processes that draw pairs."""
    batch: int = 16
    """Pairs per step."""
    rate: float = 1e-3
    """The highest learning rate (AdamW)."""
    precision: Precision = "bfloat16"
    """Of the convolutions; the weights are float32 while they are trained."""
    resume: bool = False
    """Go on from the checkpoint beside --out, which a training of the same seed, batch, rate and precision wrote."""
    score: tuple[str, ...] = ()
    """Datasets KIND:ROOT[:SPLIT] to track at the end."""
    json: bool = False
    """Print what is written to the .json file to stdout as well."""

    @property
    def checkpoint(self) -> Path:
        """Where training goes on from."""
        return self.out.with_suffix(".checkpoint.pt")

    def run(self) -> int:
        """Train, write, score."""
        if self.out.suffix != ".safetensors":
            raise ValueError(f"--out {self.out}: give it a name that ends in .safetensors")
        if not self.minutes > 0:
            raise ValueError(f"--minutes {self.minutes}: give a positive number")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"--steps {self.steps}: give at least 1")
        usable("teachers.training.siamrpn", self.device)
        for spec in self.score:
            open_dataset(spec)  # before an hour of training
        torch.set_num_threads(self.threads)
        saved = read_checkpoint(self.checkpoint, self.options()) if self.resume else None
        learner, reached = Learner(self.seed, self.device, self.rate, self.precision), Progress()
        if saved is not None:
            learner.restore(saved["learner"])
            reached = Progress(**saved["progress"])
        self._learn(learner, reached)
        self._write(learner, reached)
        record = self._record(reached)
        text = json.dumps(record, indent=1)
        with appearing(self.out.with_suffix(".json")) as path:
            path.write_text(text + "\n")
        if self.json:
            print(text)
        return 0

    def options(self) -> dict[str, int | float | str]:
        """Those that have to stay the same when training goes on: time, steps and the machine may change."""
        return {"seed": self.seed, "batch": self.batch, "rate": self.rate, "precision": self.precision}

    def _share(self, reached: Progress) -> float:
        """How much of the training is over; 1 and more is all of it."""
        return reached.step / self.steps if self.steps else reached.seconds / (60 * self.minutes)

    def _learn(self, learner: Learner, reached: Progress) -> None:
        saved = time.monotonic()
        began = time.monotonic() - reached.seconds
        pairs = Pairs(self.seed, reached.drawn, 2**31)
        with progress("‰") as bar:
            task = bar.add_task("training", total=1000)
            batches = iter(loader(pairs, self.batch, self.workers))
            while self._share(reached) < 1:
                if not learner.settled and self._share(reached) >= SETTLED:
                    learner.settle((z, x) for z, x, _ in islice(batches, SETTLING))
                    reached.drawn += SETTLING * self.batch
                exemplars, regions, boxes = next(batches)
                reached.drawn += self.batch
                now = learner.step(exemplars, regions, boxes, self._share(reached))
                reached.learned(now, time.monotonic() - began)
                losses = f"losses {reached.losses[0]:.3f}, {reached.losses[1]:.3f}"
                bar.update(task, completed=int(1000 * self._share(reached)), description=losses)
                if time.monotonic() - saved > 60:
                    saved = time.monotonic()
                    self._save(learner, reached)
            self._save(learner, reached)

    def _save(self, learner: Learner, reached: Progress) -> None:
        if bar_is_hidden():
            classes, boxes = reached.losses
            text = f"step {reached.step}, {reached.seconds:.0f} s, losses {classes:.4f} {boxes:.4f}"
            print(text, file=sys.stderr, flush=True)
        with appearing(self.checkpoint) as path:
            state = {"options": self.options(), "learner": learner.state(), "progress": asdict(reached)}
            torch.save(state, path)

    def _write(self, learner: Learner, reached: Progress) -> None:
        # Kernels as float16. Variances of raw images (0 to 255) are beyond it, and vectors weigh nothing.
        state = {
            key: value.detach().cpu().contiguous().to(torch.float16 if value.ndim > 1 else torch.float32)
            for key, value in learner.network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        about = {"what": WHAT, "seed": self.seed, "steps": reached.step, "batch": self.batch}
        with appearing(self.out) as path:
            # Bytes, not `save_file`, whose files nobody else may read.
            path.write_bytes(safetensors.torch.save(state, {k: str(v) for k, v in about.items()}))

    def _record(self, reached: Progress) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for spec in self.score:
            each = scores(SiamRpn(self.out, "slim", threads=self.threads), open_dataset(spec))
            kind = spec.partition(":")[0]
            found[kind] = {"mean": asdict(mean(each.values())), **{k: asdict(v) for k, v in each.items()}}
        return {
            "what": WHAT,
            "sha256": hashlib.sha256(self.out.read_bytes()).hexdigest(),
            "command": "python -m teachers.training.siamrpn",
            "seed": self.seed,
            "minutes": round(reached.seconds / 60, 1),
            "steps": reached.step,
            "pairs": reached.step * self.batch,
            "rate": self.rate,
            "precision": self.precision,
            "device": self.device
            if self.device != "cpu"
            else f"cpu, {self.threads} thread ({platform.machine()})",
            "torch": torch.__version__,
            "losses": {"classes": round(reached.losses[0], 4), "boxes": round(reached.losses[1], 4)},
            "scores": found,
        }


def bar_is_hidden() -> bool:
    """Whether stderr is a file, to which a line per minute is written instead of a progress bar."""
    return not sys.stderr.isatty()


if __name__ == "__main__":
    sys.exit(run_only_command(Train, "python -m teachers.training.siamrpn"))
