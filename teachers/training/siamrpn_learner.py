"""Learning of the slim SiamRPN: batches of procedural pairs, and what one step does with one."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from teachers.siamrpn.network import SiamRPN
from teachers.siamrpn.variants import VARIANTS
from teachers.training.pairs import pair
from teachers.training.siamrpn_loss import BOX_WEIGHT, loss, targets
from teachers.training.starting_filters import start

if TYPE_CHECKING:
    from collections.abc import Iterable

SEARCH, SIDE = 223, 13
"""Of training: smaller than the tracker's search region, because the network has no padding and sees no border."""

STRANGE = 0.1
"""Share of negative pairs."""

Precision = Literal["bfloat16", "float32"]


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


def quiet_worker(_number: int) -> None:
    """Keep a worker process to one thread."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def loader(pairs: Pairs, batch: int, workers: int) -> DataLoader[Any]:
    """Batches of pairs in order, drawn ahead in processes of their own."""
    ahead = {"prefetch_factor": 8, "persistent_workers": True} if workers else {}
    return DataLoader(pairs, batch, num_workers=workers, worker_init_fn=quiet_worker, **ahead)  # type: ignore[arg-type]  # of the two keywords


class Learner:
    """The network, its optimiser, and one step.

    Args:
        seed: Of the first values and of the anchors drawn.
        device: Where to train.
        rate: The highest learning rate.
        precision: Of the convolutions.
    """

    def __init__(self, seed: int, device: str, rate: float, precision: Precision) -> None:
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
        self.settled = False

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
        with self._cast():
            kernels = tuple(k[other.to(self.place)] for k in self.network.template(z))
            answer = self.network(x, kernels)
        classes, offsets = loss(answer[0], answer[1], wanted)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(classes + BOX_WEIGHT * offsets)
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        return classes.item(), offsets.item()

    @torch.no_grad()
    def settle(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Average the normalisations' statistics over batches and keep them from now on.

        Exemplars and search regions have different statistics. While each batch is normalised by its own, the
        network learns with two normalisations; a tracker has only one, to which the rest of the training adapts it.

        Args:
            batches: Exemplars and search regions, as `step` takes them.
        """
        for norm in self._norms():
            norm.reset_running_stats()
            norm.momentum = None  # an average of equal weights
        for exemplars, regions in batches:
            z, x = (v.to(self.place).permute(0, 3, 1, 2).float() for v in (exemplars, regions))
            with self._cast():
                self.network(x, self.network.template(z))
        self._keep()

    def _norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]

    def _keep(self) -> None:
        self.settled = True
        for norm in self._norms():
            norm.eval()

    def _cast(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.place.type, torch.bfloat16)

    def state(self) -> dict[str, Any]:
        """What training goes on from."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "settled": self.settled,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        if state["settled"]:
            self._keep()


def schedule(done: float) -> float:
    """The learning rate's factor: a linear warm-up over the first 3 %, then half a cosine down to 1 %."""
    if done < 0.03:
        return max(done / 0.03, 0.02)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min((done - 0.03) / 0.97, 1.0)))
