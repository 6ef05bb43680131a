"""Losses and updates against plain code, one student and one step at a time."""

import dataclasses

import numpy as np
import pytest
import torch
from learning_runs import made, run_options
from plain_learning import PlainLearner, plain_losses

from trainer.losses import Segment, losses
from trainer.options import RECIPES, EpisodeOptions, LossOptions, OptimiserOptions

torch.set_num_threads(1)


def random_segment(T=5, S=6, seed=0, tries=0):
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    def uniform(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    tenth = torch.randint(0, 4, (2, T, S), generator=g) / 10
    return Segment(
        mean=normal(T, S, 4).requires_grad_(),
        value=normal(T, S).requires_grad_(),
        sigma=uniform(T, S, 4) + 0.01,
        sample=normal(T, S, 4),
        target=normal(T, S, 4),
        reward=tenth[0].double(),
        teacher_reward=tenth[1].double(),
        counts=uniform(T, S) > 0.2,
        ends=uniform(T, S) > 0.7,
        bootstrap=normal(S),
        tried=normal(T, S, tries, 4),
        tried_reward=(2 * uniform(T, S, tries) - 1).round(decimals=1),
    )


@pytest.mark.parametrize(
    "options",
    [
        LossOptions(),
        LossOptions(gamma=0.9, ties="teacher", advantage="to-go"),
        LossOptions(gamma=0.8, value_target="printed", advantage_gradient=True),
        LossOptions(gamma=0.9, tries=3),
        LossOptions(tries=1, advantage="to-go"),
        LossOptions(tries=7, advantage="immediate"),
    ],
)
def test_losses_are_those_of_plain_code(options):
    segment = random_segment(tries=options.tries)
    masked = torch.arange(6) % 2 == 0
    found = losses(segment, masked, options)
    found_gradient = torch.autograd.grad(sum(v.sum() for v in found), [segment.mean, segment.value])
    plain = [plain_losses(segment, s, bool(masked[s]), options) for s in range(6)]
    for i, values in enumerate(found):
        torch.testing.assert_close(values, torch.stack([p[i] for p in plain]))
    gradient = torch.autograd.grad(sum(sum(p) for p in plain), [segment.mean, segment.value])
    for a, b in zip(found_gradient, gradient, strict=True):
        torch.testing.assert_close(a, b)


def test_tries_estimate_the_gradient_of_the_expected_reward():
    """Of a reward that is known in closed form, E[x²] of N(μ, σ²): dE/dμ is 2 μ, with and without the action taken."""
    T, S, tries = 200, 500, 4
    g = torch.Generator().manual_seed(0)
    mean = torch.full((T, S, 4), 0.7, dtype=torch.float64, requires_grad=True)
    actions = 0.7 + 0.5 * torch.randn(T, S, tries + 1, 4, generator=g, dtype=torch.float64)
    got = actions.square().sum(dim=-1)
    segment = random_segment(T, S, tries=tries)._replace(
        mean=mean,
        sigma=torch.full_like(mean, 0.5).detach(),
        sample=actions[:, :, 0],
        tried=actions[:, :, 1:],
        reward=got[..., 0],
        tried_reward=got[..., 1:],
        counts=torch.ones(T, S, dtype=torch.bool),
    )
    found = losses(segment, torch.ones(S, dtype=torch.bool), LossOptions(tries=tries, advantage="immediate"))
    (gradient,) = torch.autograd.grad(found.policy.sum(), mean)
    assert -gradient.mean().item() == pytest.approx(2 * 0.7, rel=0.02)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("tras", {}),
        (
            "tras",
            {
                "loss.value_weight": 0.3,
                "loss.value_students": "all",
                "loss.tries": 2,
                "optimiser.critic_rate": 5.0,
            },
        ),
        ("tras-kd", {"loss.value_students": "all"}),
        ("tras-kd-gt", {}),
        ("tras-no-curr", {}),
        ("tras-judge", {}),
        ("judge", {"loss.value_weight": 0.3}),
        ("tras", {"optimiser.scaling": "students"}),
        ("tras", {"optimiser.decay": "linear"}),
        ("tras", {"optimiser.decay": "cosine", "optimiser.critic_rate": 5.0}),
        ("tras", {"optimiser.clip_gradient": 0.5}),
        ("tras-judge", {"loss.weight_decay": 0.5}),
        ("tras", {"loss.sigma_gradient": True}),
        ("tras", {"loss.advantage_gradient": True}),
        ("tras-kd-gt", {"episode.shake": 0.6}),
        ("tras-kd-gt", {"episode.shake": 0.6, "loss.clip_targets": False}),
        ("tras-kd-gt", {"episode.execute": "sample"}),
        ("tras-judge", {"episode.execute": "sample"}),
        ("tras", {"episode.start": "teacher"}),
        ("tras", {"episode.tint": 0.4}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_updates_are_those_of_students_that_learn_one_by_one(windows, recipe, changes):
    groups = {
        "episode": EpisodeOptions(mirror=0.5, reverse=0.5, shake=0.05),
        "loss": LossOptions(reinforcement_weight=0.1, weight_decay=0.0),
        "optimiser": OptimiserOptions(learning_rate=1e-2, scaling="none", updates=8),
    }
    for name, value in changes.items():
        group, field = name.split(".")
        groups[group] = dataclasses.replace(groups[group], **{field: value})
    students = 2 * len(RECIPES[recipe].roles) if "judge" in recipe else 4
    options = run_options(recipe=recipe, students=students, segment=3, **groups)
    learner, now = made(windows, options)
    plain = PlainLearner(windows, options)
    for _ in range(7):
        plain.update(*learner._noise())
        learner.update()
        torch.testing.assert_close(
            now.box, torch.stack([p.box for p in plain.students]), rtol=1e-4, atol=1e-3
        )
    pairs = zip(learner.student.named_parameters(), plain.network.parameters(), strict=True)
    for (name, a), b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)
    means, expected = learner.means(), plain.means()
    if options.loss.weight_decay:  # a part of the plain gradient, of the other one the optimiser makes it
        del means["gradient"], expected["gradient"]
    assert means == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert learner.measures.count_nonzero() == 0
    assert [c.horizon for c in now.curricula] == [p.curriculum.horizon for p in plain.students]


def test_the_noise_is_another_in_every_update_and_run(windows):
    first, other = (made(windows, run_options(seed=seed))[0] for seed in (0, 1))
    noises = [first._noise()[0], other._noise()[0]]
    first.updates = 1
    noises.append(first._noise()[0])
    assert len({noise.numpy().tobytes() for noise in noises}) == 3


@pytest.mark.parametrize("ties", ["student", "teacher"])
def test_frames_without_target_are_in_no_loss(windows, ties):
    windows.present[:, 2] = False
    windows.truth[:, 2] = np.nan
    options = run_options(recipe="tras-no-curr", segment=3, loss=LossOptions(ties=ties))
    learner, _ = made(windows, options)
    for _ in range(3):
        learner.update()
    assert all(p.isfinite().all() for p in learner.student.parameters())
    means = learner.means()
    assert all(np.isfinite(v) for v in means.values()) and means["reward/teacher"] <= 1
    assert 0 < means["masked"] <= 2 / 3  # of an episode's three steps one has no target, and teaches nothing
