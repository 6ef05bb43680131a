"""MDNet as it is trained: the shared layers, and per domain a last layer that is solved for, not stepped towards.

Nam and Han (CVPR 2016, Section 3.2) give each of a few dozen videos a last layer that learns together with the shared
ones, which come from a network trained on photographs. From random weights and on procedural video that taught the
shared layers their domains by heart: the features of real targets became sparse, and tracked worse than untrained ones.
Here a domain's last layer is the ridge regression from the features of its earlier frames, and the loss is what that
layer says of its later frames; likewise for the tracker's regression of boxes. So the shared layers learn what the
tracker asks of them, to tell apart a target that they never saw from what is around it, and there may be as many
domains as one likes. (Closed-form last layers: Bertinetto et al., Meta-learning with differentiable closed-form
solvers, ICLR 2019; learning MDNet's shared layers for its online training: Park and Berg, Meta-Tracker, ECCV 2018.)
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from teachers.mdnet.network import Network, Widths
from teachers.training.mdnet_domains import roles
from teachers.training.mdnet_pool import trainable_pool

SCALE = 64.0
"""Patches are divided by this while training, or conv1's gradient would dwarf the others'; `shipped` takes it back."""

GAIN = 2.0
"""Features are shipped this much larger, and fc4's weights as much smaller. The network stays the same function, but
the tracker's published learning rates and ridge see other features. Chosen on five real clips of 30 frames: 2, 6 and 24
gave a mean overlap of 0.781, 0.737 and 0.609."""

BOXES = 0.5
"""Weight of the loss of the boxes beside that of the classes."""


class Ridge(nn.Module):
    """A ridge regression with intercept from the features of some examples, asked about others.

    The ridge, in units of the mean squared norm of the centred features, is learnt and shared by all domains.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_ridge = nn.Parameter(torch.tensor(-1.0))

    def forward(self, given: Tensor, answers: Tensor, asked: Tensor) -> Tensor:
        """Answers to what is asked about, float32 (M, D).

        Args:
            given: float32 (N, F), features of the examples.
            answers: float32 (N, D), theirs.
            asked: float32 (M, F).
        """
        mean, usual = given.mean(0), answers.mean(0)
        x, y = given - mean, asked - mean
        size = x.square().sum(1).mean() + 1e-6
        gram = x @ x.T / size + self.log_ridge.exp() * torch.eye(len(x), device=x.device)
        dual = torch.linalg.solve(gram, answers - usual)
        found: Tensor = y @ x.T @ dual / size + usual
        return found


class Classifier(nn.Module):
    """A last layer: the answer of a ridge regression to 0 or 1, turned into a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.ridge = Ridge()
        self.log_slope = nn.Parameter(torch.tensor(1.5))
        self.offset = nn.Parameter(torch.tensor(-0.5))

    def forward(self, given: Tensor, target: Tensor, asked: Tensor) -> Tensor:
        """Logits of the target, float32 (M,); as `Ridge`, with targets (N,) of 1 and 0."""
        answer: Tensor = self.ridge(given, target[:, None], asked)[:, 0]
        logits: Tensor = self.log_slope.exp() * answer + self.offset
        return logits


class MultiDomain(nn.Module):
    """Shared layers; last layers on the features that the tracker keeps and on those that it classifies; a regressor.

    Args:
        widths: Of the shared layers.
        seed: Of the first weights.
    """

    def __init__(self, widths: Widths, seed: int) -> None:
        super().__init__()
        self.shared = Network(widths)
        self.last = nn.ModuleList([Classifier(), Classifier()])
        self.regressor = Ridge()
        generator = torch.Generator().manual_seed(seed)
        for layer in self._layers():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs of conv3 (N, 9 x conv3) and of fc5 (N, fc5).

        Args:
            patches: float32 (N, 3, 107, 107), RGB minus 128, over `SCALE`.
        """
        s = self.shared
        x = trainable_pool(s.conv2(trainable_pool(s.conv1(patches))))
        x = functional.relu(s.conv3(x)).flatten(1)
        return x, functional.relu(s.fc5(functional.relu(s.fc4(x))))

    def loss(self, patches: Tensor, shifts: Tensor) -> Tensor:
        """What the last layers and the regressor, solved for on earlier frames, get wrong on the later ones.

        Args:
            patches: As in `forward`, those of a `Minibatch`.
            shifts: Its float32 (POSITIVES, 4).

        Returns:
            The mean cross entropy of the two last layers, and `BOXES` times the squared error of the regressor in
            units of that of one which always says zero.
        """
        target, earlier = (torch.from_numpy(role).to(patches.device) for role in roles())
        later, near = ~earlier, target > 0
        features, reduced = self(patches)
        losses = [
            functional.binary_cross_entropy_with_logits(
                last(x[earlier], target[earlier], x[later]), target[later]
            )
            for last, x in zip(self.last, (features, reduced), strict=True)
        ]
        first = earlier[near]
        found = self.regressor(features[earlier & near], shifts[first], features[later & near])
        error = (found - shifts[~first]).square().mean(0) / (shifts.square().mean(0) + 1e-6)
        total: Tensor = torch.stack(losses).mean() + BOXES * error.mean()
        return total

    @torch.no_grad()
    def standardise(self, patches: Tensor) -> None:
        """Scale every layer's weights so that its output for these patches has unit variance."""
        s, x = self.shared, patches
        for layer, after in (
            (s.conv1[0], trainable_pool),
            (s.conv2[0], trainable_pool),
            (s.conv3[0], lambda y: functional.relu(y).flatten(1)),
            (s.fc4[0], functional.relu),
            (s.fc5[1], functional.relu),
        ):
            layer.weight /= layer(x).std()
            x = after(layer(x))

    def shipped(self, gain: float = GAIN) -> dict[str, Tensor]:
        """The shared layers as a checkpoint of `teachers.mdnet`: for patches that nobody has scaled."""
        state = {key: value.detach().cpu().contiguous() for key, value in self.shared.state_dict().items()}
        for key, factor in (
            ("conv1.0.weight", 1 / SCALE),
            ("conv3.0.weight", gain),
            ("conv3.0.bias", gain),
            ("fc4.0.weight", 1 / gain),
        ):
            state[key] = state[key] * factor
        return state

    def _layers(self) -> Iterator[nn.Conv2d | nn.Linear]:
        for module in self.shared.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                yield module
