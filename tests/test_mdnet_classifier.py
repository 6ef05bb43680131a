"""MDNet's classifier as it learns while it tracks: against autograd and torch's SGD, in lockstep, in slots."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mdnet_samples import SLIM, weighted
from torch import Tensor, nn
from torch.nn import functional

from teachers.mdnet import classifier
from teachers.mdnet.budget import Budget
from teachers.mdnet.first_training import FirstTraining
from teachers.mdnet.memory import Rows
from teachers.mdnet.network import Network, Widths
from teachers.mdnet.training import Examples, lesson, train

pytestmark = pytest.mark.usefixtures("one_thread")


class Plain(nn.Module):
    """The classifier as PyTorch's modules, in the order in which the authors' code draws them."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        nn.Conv2d(3, widths.conv1, 7), nn.Conv2d(widths.conv1, widths.conv2, 5)
        nn.Conv2d(widths.conv2, widths.conv3, 3)
        self.fc4 = nn.Linear(widths.feature, widths.fc4)
        self.fc5 = nn.Linear(widths.fc4, widths.fc5)
        self.fc6 = nn.Linear(widths.fc5, 2)
        for layer in (self.fc4, self.fc5, self.fc6):
            nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(self.fc6.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.fc4(x))
        x = functional.relu(self.fc5(functional.dropout(x, 0.5, self.training)))
        return self.fc6(functional.dropout(x, 0.5, self.training))


@pytest.mark.parametrize(("negatives", "scale"), [(3000, 1.0), (300, 1.0), (1500, 3000.0)])
def test_training_is_that_of_autograd_and_torch_sgd(negatives, scale):
    """With every random draw; the largest scale makes the gradient so long that it is cut."""
    torch.manual_seed(0)
    plain = Plain(SLIM)
    network = Network.__new__(Network)
    state = torch.get_rng_state()
    Network.__init__(network, SLIM)
    for own, other in ((network.fc4[0], plain.fc4), (network.fc5[1], plain.fc5)):
        own.load_state_dict(other.state_dict())
    generator = torch.Generator().manual_seed(0)
    layers = classifier.initial(network, generator)
    layers = classifier.Layers(*(t.clone() for t in layers.tensors()))
    assert torch.equal(layers.w6[0], plain.fc6.weight)
    assert torch.equal(generator.get_state(), state)

    data = torch.Generator().manual_seed(5)
    pos = scale * torch.rand(100, SLIM.feature, generator=data)
    neg = scale * (torch.rand(negatives, SLIM.feature, generator=data) - 0.02)
    count = (
        8 if scale == 1 else 2
    )  # with weights that large, rounding soon turns into another choice of negatives
    rng = np.random.RandomState(3)
    train(layers, layers.zeros(), [Examples(Rows.all_of(pos), Rows.all_of(neg), rng, generator)], count, 1e-3)

    torch.set_rng_state(state)
    rng = np.random.RandomState(3)
    order = [rng.permutation(100)], [rng.permutation(negatives)]
    for part, wanted in zip(order, (count * 32, count * 1024), strict=True):
        while sum(map(len, part)) < wanted:
            part.append(rng.permutation(len(part[0])))
    pos_order, neg_order = (np.concatenate(part) for part in order)
    others = [*plain.fc4.parameters(), *plain.fc5.parameters()]
    sgd = torch.optim.SGD(
        [{"params": others}, {"params": plain.fc6.parameters(), "lr": 1e-2}],
        lr=1e-3,
        momentum=0.9,
        weight_decay=5e-4,
    )
    norms = []
    for i in range(count):
        candidates = neg[neg_order[i * 1024 : (i + 1) * 1024]]
        with torch.no_grad():
            hard = plain.eval()(candidates)[:, 1].topk(96).indices
        plain.train()
        to_target = functional.log_softmax(plain(pos[pos_order[i * 32 : (i + 1) * 32]]), 1)[:, 1]
        to_background = functional.log_softmax(plain(candidates[hard]), 1)[:, 0]
        sgd.zero_grad()
        (-(to_target.sum() + to_background.sum()) / 128).backward()
        norms.append(float(nn.utils.clip_grad_norm_(plain.parameters(), 10)))
        sgd.step()
    assert (norms[0] > 10) == (scale > 1)
    wanted = (plain.fc4, plain.fc5, plain.fc6)
    for own, other in zip(
        layers.tensors(), (p for layer in wanted for p in (layer.weight, layer.bias)), strict=True
    ):
        torch.testing.assert_close(own[0], other.detach(), rtol=1e-4, atol=1e-5)


def test_videos_trained_in_lockstep_are_trained_as_if_alone():
    network = weighted(SLIM)
    start = classifier.initial(network, torch.Generator().manual_seed(0))
    data = torch.Generator().manual_seed(5)
    sets = [
        (torch.rand(60, SLIM.feature, generator=data), torch.rand(n, SLIM.feature, generator=data) - 0.05)
        for n in (200, 700, 90)
    ]

    def examples(k: int) -> Examples:
        pos, neg = (Rows.all_of(x) for x in sets[k])
        return Examples(pos, neg, np.random.RandomState(k), torch.Generator().manual_seed(k))

    def copies(n: int) -> classifier.Layers:
        return classifier.Layers(*(t.repeat(n, *[1] * (t.ndim - 1)) for t in start.tensors()))

    together = copies(3)
    train(together, together.zeros(), [examples(k) for k in range(3)], 5, 1e-3)
    for k in range(3):
        alone = copies(1)
        train(alone, alone.zeros(), [examples(k)], 5, 1e-3)
        for a, b in zip(together.at([k]).tensors(), alone.tensors(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_layers_of_scattered_slots_are_put_back():
    layers = classifier.empty(4, SLIM, torch.device("cpu"))
    for t in layers.tensors():
        t.zero_()
    some = layers.at([0, 2])
    for t in some.tensors():
        t.add_(1)
    layers.put([0, 2], some)
    assert layers.b4[:, 0].tolist() == [1, 0, 1, 0]


def test_the_first_training_with_masks_drawn_beforehand_is_its_training():
    """What a GPU records, done here: all masks at once, and rows of zeros up to the sizes that it reserves."""
    initial = classifier.initial(weighted(SLIM), torch.Generator().manual_seed(0))
    budget = Budget(first_positives=50, first_negatives=400, first_iterations=4)
    data = torch.Generator().manual_seed(5)
    pos = torch.rand(40, SLIM.feature, generator=data)
    neg = torch.rand(300, SLIM.feature, generator=data) - 0.05

    def examples() -> Examples:
        dropout = torch.Generator().manual_seed(4)
        return Examples(Rows.all_of(pos), Rows.all_of(neg), np.random.RandomState(3), dropout)

    wanted = classifier.Layers(*(t.clone() for t in initial.tensors()))
    train(wanted, wanted.zeros(), [examples()], 4, 1e-3)

    drawn, masks = lesson(initial, examples(), 4), torch.empty(4, 128, SLIM.fc4 + SLIM.fc5)
    for mask in masks:
        for rows in (mask[:32], mask[32:]):
            for part in torch.split(rows, [SLIM.fc4, SLIM.fc5], dim=1):
                part.copy_(torch.empty(part.shape).bernoulli_(0.5, generator=drawn.kept))
    some, others = (torch.cat([x, torch.zeros(n, SLIM.feature)]) for x, n in ((pos, 10), (neg, 100)))
    first = FirstTraining(initial, budget, 1e-3)
    for _ in range(2):  # a second video starts where the first one did
        found = first._descend(some, others, drawn.easy, drawn.candidates, masks.to(torch.uint8))
        for one, other in zip(found, wanted.tensors(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_layers_of_slots_in_another_order_are_in_that_order():
    layers = classifier.empty(4, SLIM, torch.device("cpu"))
    for t in layers.tensors():
        for slot in range(4):
            t[slot] = slot
    some = layers.at([2, 1])
    assert some.b4[:, 0].tolist() == [2, 1]
    layers.put([1, 2], some)
    assert layers.b4[:, 0].tolist() == [0, 2, 1, 3]
    layers.put([2, 1], some)
    assert layers.b4[:, 0].tolist() == [0, 1, 2, 3]
