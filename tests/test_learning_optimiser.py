"""Rates and decay of the optimiser's groups, and the tint of what students see."""

import dataclasses
import math

import pytest
import torch
from learning_runs import CPU, made, run_options

from trainer.episodes import plan
from trainer.options import EpisodeOptions, LossOptions, OptimiserOptions

torch.set_num_threads(1)


@pytest.mark.parametrize("scaling", ["students", "none"])
@pytest.mark.parametrize("students", [2, 24])
def test_an_update_has_the_rate_of_all_students_and_the_critic_its_own(windows, students, scaling):
    optimiser = OptimiserOptions(1e-4, scaling, critic_rate=5.0)
    learner, _ = made(windows, run_options(students=students, optimiser=optimiser))
    learner.update()
    others, critic = learner.optimiser.param_groups
    rate = 1e-4 * (students if scaling == "students" else 1)
    assert others["lr"] == pytest.approx(rate) and critic["lr"] == pytest.approx(5 * rate)
    assert set(critic["params"]) == set(learner.student.critic.parameters())
    assert set(others["params"]) == set(learner.student.parameters()) - set(critic["params"])


@pytest.mark.parametrize(
    ("recipe", "share"),
    [("tras", 1 / 2), ("tras-kd", 1), ("tras-kd-gt", 1), ("tras-gt", 1), ("tras-judge", 1 / 3), ("judge", 0)],
)
def test_weights_decay_by_the_share_of_students_that_imitate(windows, recipe, share):
    learner, _ = made(windows, run_options(recipe=recipe, students=6, loss=LossOptions(weight_decay=0.3)))
    for group in learner.optimiser.param_groups:
        assert group["weight_decay"] == pytest.approx(0.3 * share)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("none", [1, 1, 1, 1, 1]),
        ("linear", [1, 3 / 4, 1 / 2, 1 / 4, 0]),
        ("cosine", [1, 1 / 2 + math.sqrt(1 / 8), 1 / 2, 1 / 2 - math.sqrt(1 / 8), 0]),
    ],
)
def test_the_rate_falls_to_zero_with_the_last_update(windows, decay, expected):
    """The last of four updates still moves the weights; a fifth would not."""
    optimiser = OptimiserOptions(1e-2, "none", critic_rate=2.0, decay=decay, updates=4)
    learner, _ = made(windows, run_options(optimiser=optimiser))
    rates = []
    for _ in expected:
        learner.update()
        rates.append([group["lr"] for group in learner.optimiser.param_groups])
    assert rates == [pytest.approx([1e-2 * share, 2e-2 * share]) for share in expected]


def test_a_tint_changes_contrast_and_brightness_of_what_a_student_sees(windows):
    options = run_options(recipe="tras-no-curr", episode=EpisodeOptions(tint=0.4))
    _, tinted = made(windows, options)
    _, plain = made(windows, dataclasses.replace(options, episode=EpisodeOptions()))
    stay = torch.zeros(options.students, 4, device=CPU)
    for episode in range(2):
        drawn = [plan(options.episode, windows, options.seed, s, episode, options.students) for s in range(4)]
        contrast, brightness = (
            torch.tensor(v)[:, :, None, None]
            for v in ([d.contrast for d in drawn], [d.brightness for d in drawn])
        )
        assert 0.1 < (contrast - 1).abs().max() <= 0.4 and 0.1 < brightness.abs().max() <= 0.4
        assert len(contrast.unique()) == len(brightness.unique()) == contrast.numel()
        for _ in range(windows.length - 1):
            for seen, crops in zip(tinted.crops(), plain.crops(), strict=True):
                torch.testing.assert_close(seen, contrast * crops + brightness)
            for now in (tinted, plain):
                now.act(stay, now.memory, now.frame())
