"""`python -m teachers.training.siamrpn`: train the slim SiamRPN on procedural pairs."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from datasets.atomic import appearing
from datasets.command_line import progress, run_only_command
from datasets.spec import open_dataset
from teachers.siamrpn.factory import SiamRpn
from teachers.siamrpn.network import SiamRPN
from teachers.siamrpn.variants import VARIANTS
from teachers.training.pairs import pair
from teachers.training.scoring import mean, scores
from teachers.training.siamrpn_loss import BOX_WEIGHT, loss, targets
from teachers.training.starting_filters import start
from teachers.weights import fit, load_state

SEARCH, SIDE = 223, 13
"""Of training: smaller than the tracker's search region, because the network has no padding and sees no border."""

STRANGE = 0.1
"""Share of negative pairs."""

WHAT = "slim SiamRPN, trained on procedural video only; not the published SiamRPN"


class Pairs(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The training pairs by index.

    Args:
        seed: See `pairs.pair`.
        first: The pair that index 0 stands for.
        count: How many.
    """

    def __init__(self, seed: int, first: int, count: int) -> None:
        self.seed, self.first, self.count = seed, first, count

    def __len__(self) -> int:
        """Number of pairs."""
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Exemplar uint8 (127, 127, 3), search region uint8 (SEARCH, SEARCH, 3), box float32 (4,)."""
        one = pair(self.seed, self.first + index, SEARCH)
        return tuple(torch.from_numpy(np.ascontiguousarray(v)) for v in (one.exemplar, one.search, one.box))  # type: ignore[return-value]  # three of them


@dataclass
class Progress:
    """How far training is.

    Attributes:
        step: Steps done.
        seconds: Time spent.
        losses: Of classes and boxes, running means.
    """

    step: int = 0
    seconds: float = 0.0
    losses: tuple[float, float] = (math.log(2), 1.0)


class Learner:
    """The network, its optimiser, and one step.

    Args:
        seed: Of the first values and of the anchors drawn.
        device: Where to train.
        rate: The highest learning rate.
        precision: Of the convolutions.
    """

    def __init__(
        self, seed: int, device: str, rate: float, precision: Literal["bfloat16", "float32"]
    ) -> None:
        self.network = cast("SiamRPN", VARIANTS["slim"].build())
        start(self.network, seed)
        self.place, self.rate, self.precision = torch.device(device), rate, precision
        self.network.to(self.place, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim == 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}], lr=rate
        )
        self.generator = torch.Generator().manual_seed(seed)

    def step(self, exemplars: Tensor, regions: Tensor, boxes: Tensor, done: float) -> tuple[float, float]:
        """Learn from one batch.

        Args:
            exemplars: uint8 (N, 127, 127, 3).
            regions: uint8 (N, SEARCH, SEARCH, 3).
            boxes: float32 (N, 4).
            done: Share of the training that is over, 0..1: it sets the learning rate.

        Returns:
            The losses of classes and boxes.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * schedule(done)
        z, x = (v.to(self.place).permute(0, 3, 1, 2).float() for v in (exemplars, regions))
        strange = torch.rand(len(z), generator=self.generator) < STRANGE
        other = torch.where(strange, torch.arange(len(z)).roll(1), torch.arange(len(z)))
        wanted = targets(boxes.to(self.place), SEARCH, SIDE, strange.to(self.place), self.generator)
        with (
            torch.autocast(self.place.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()
        ):
            kernels = tuple(k[other.to(self.place)] for k in self.network.template(z))
            answer = self.network(x, kernels)
        classes, offsets = loss(answer[0], answer[1], wanted)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(classes + BOX_WEIGHT * offsets)
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        return classes.item(), offsets.item()

    def state(self) -> dict[str, Any]:
        """What training goes on from."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])


def schedule(done: float) -> float:
    """The learning rate's factor: a linear warm-up over the first 3 %, then half a cosine down to 1 %."""
    if done < 0.03:
        return max(done / 0.03, 0.02)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min((done - 0.03) / 0.97, 1.0)))


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
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the convolutions; the weights are float32 while they are trained."""
    resume: bool = False
    """Go on from the checkpoint beside --out."""
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
        torch.set_num_threads(self.threads)
        learner, reached = Learner(self.seed, self.device, self.rate, self.precision), Progress()
        if self.resume:
            saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            learner.restore(saved["learner"])
            reached = Progress(saved["step"], saved["seconds"], tuple(saved["losses"]))
        self._learn(learner, reached)
        self._write(learner, reached)
        record = self._record(reached)
        text = json.dumps(record, indent=1)
        with appearing(self.out.with_suffix(".json")) as path:
            path.write_text(text + "\n")
        if self.json:
            print(text)
        return 0

    def _learn(self, learner: Learner, reached: Progress) -> None:
        limit, saved = 60 * self.minutes, time.monotonic()
        began = time.monotonic() - reached.seconds
        pairs = Pairs(self.seed, reached.step * self.batch, 2**31)
        with progress("s") as bar:
            task = bar.add_task("training", total=int(limit))
            for exemplars, regions, boxes in loader(pairs, self.batch, self.workers):
                if reached.seconds >= limit:
                    break
                now = learner.step(exemplars, regions, boxes, reached.seconds / limit)
                keep = min(0.99, reached.step / (reached.step + 1))
                reached.losses = cast(
                    "tuple[float, float]",
                    tuple(keep * a + (1 - keep) * b for a, b in zip(reached.losses, now, strict=True)),
                )
                reached.step += 1
                reached.seconds = time.monotonic() - began
                bar.update(
                    task,
                    completed=int(reached.seconds),
                    description=f"losses {reached.losses[0]:.3f}, {reached.losses[1]:.3f}",
                )
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
            torch.save({"learner": learner.state(), **asdict(reached)}, path)

    def _write(self, learner: Learner, reached: Progress) -> None:
        state = {
            key: value.detach()
            .cpu()
            .contiguous()
            .to(torch.float16 if value.is_floating_point() else value.dtype)
            for key, value in learner.network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        about = {"what": WHAT, "seed": self.seed, "steps": reached.step, "batch": self.batch}
        with appearing(self.out) as path:
            safetensors.torch.save_file(state, path, {k: str(v) for k, v in about.items()})

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


def quiet_worker(_number: int) -> None:
    """Keep a worker process to one thread."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def loader(pairs: Pairs, batch: int, workers: int) -> DataLoader[Any]:
    """Batches of pairs in order, drawn ahead in processes of their own."""
    ahead = {"prefetch_factor": 8, "persistent_workers": True} if workers else {}
    return DataLoader(pairs, batch, num_workers=workers, worker_init_fn=quiet_worker, **ahead)  # type: ignore[arg-type]  # of the two keywords


def load(path: Path) -> SiamRPN:
    """The slim network with trained weights, for looking into."""
    network = cast("SiamRPN", VARIANTS["slim"].build())
    fit(network, load_state(path), path)
    return network


if __name__ == "__main__":
    sys.exit(run_only_command(Train, "python -m teachers.training.siamrpn"))
