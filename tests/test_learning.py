"""Learning: losses and episodes against plain code, exact resumption, several processes, bad input."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from tiny_videos import rows, write_got10k
from transfer_samples import content, make_video, write_sample

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.errors import DataError
from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.writer import FramesWriter, write_set
from trainer import logs
from trainer.__main__ import Train
from trainer.checkpoint import load_checkpoint
from trainer.crops import crop_batch
from trainer.curriculum import Curriculum
from trainer.episodes import Reader, load, plan
from trainer.interactions import Interactions
from trainer.learner import Learner
from trainer.losses import Segment, losses
from trainer.mdp import action_between, clip_box, overlap, reward, transition
from trainer.options import (
    RECIPES,
    CurriculumOptions,
    EpisodeOptions,
    LogOptions,
    LossOptions,
    MachineOptions,
    OptimiserOptions,
    TrainOptions,
    ValidationOptions,
)
from trainer.processes import Processes
from trainer.saved_options import as_json, from_json, resumed
from trainer.student import LSTMState, Student, StudentOptions, load_student, save_student
from trainer.train import BEST, first_student, train
from trainer.validation import HeldOut, follow, score
from trainer.windows import held_out, open_windows, split

torch.set_num_threads(1)
CPU = torch.device("cpu")
TINY = StudentOptions(backbone="tiny", width=8, crop_size=32)


def run_options(**changes):
    """A run of a few quick updates."""
    values = {
        "students": 4,
        "segment": 2,
        "imagenet": "none",
        "student": TINY,
        "curriculum": CurriculumOptions(start=1, episodes=1, success=0.0),
        "optimiser": OptimiserOptions(learning_rate=1e-2, scaling="none", updates=8),
        "validation": ValidationOptions(share=0.4, every=3, patience=None),
        "machine": MachineOptions(device="cpu", readers=1),
        "log": LogOptions(every=4, checkpoint=2),
    }
    return TrainOptions(**{**values, **changes})


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    return [make_video(folder, f"video{i}", seed=i) for i in range(4)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory, videos):
    """A transfer set of 12 windows of 4 frames."""
    return write_sample(tmp_path_factory.mktemp("set"), videos)[0]


@pytest.fixture
def windows(sample):
    opened = open_windows([sample])
    yield opened
    opened.close()


def made(windows, options, numbers=None):
    """A learner with its interactions, as a run makes them."""
    numbers = numbers or list(range(options.students))
    student = first_student(options)
    reader = Reader(options.episode, windows, options.seed, options.students, 1, CPU)
    grows = [RECIPES[options.recipe].grows(n) for n in numbers]
    now = Interactions(options, reader, numbers, windows.length, options.student.width, grows, CPU)
    now.begin()
    return Learner(student, now, numbers, options, Processes(0, 1, CPU)), now


# Losses


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


def plain_losses(segment, s, masked, options):
    """Eq. 3, 6 and 7 for student s, step by step."""
    T = len(segment.mean)
    R = [0.0] * T
    if options.value_target == "to-go":
        rest = segment.bootstrap[s]
        for i in reversed(range(T)):
            if segment.ends[i, s]:
                rest = 0.0
            R[i] = rest = segment.reward[i, s] + options.gamma * rest
    else:
        first = 0
        for i in range(T):
            R[i] = sum(options.gamma ** (k - first) * segment.reward[k, s] for k in range(first, i + 1))
            if segment.ends[i, s]:
                first = i + 1
    imitation = policy = value = 0.0
    for i in range(T):
        if not segment.counts[i, s]:
            continue
        own, teacher = segment.reward[i, s], segment.teacher_reward[i, s]
        worse = own < teacher if options.ties == "student" else own <= teacher
        if worse or not masked:
            imitation = imitation + (segment.target[i, s] - segment.mean[i, s]).abs().sum()
        tried = segment.tried_reward[i, s].tolist()
        middle = float(np.mean([float(own), *tried]))
        if options.advantage == "immediate":
            advantage = torch.zeros(())
        elif options.advantage == "to-go":
            advantage = R[i] - own + middle - segment.value[i, s]
        else:
            after = segment.value[i + 1, s] if i + 1 < T else segment.bootstrap[s]
            after = 0.0 if segment.ends[i, s] else after
            advantage = middle + options.gamma * after - segment.value[i, s]
        if not options.advantage_gradient:
            advantage = advantage.detach()
        density = torch.distributions.Normal(segment.mean[i, s], segment.sigma[i, s])
        policy = policy - density.log_prob(segment.sample[i, s]).sum() * advantage
        actions = [segment.sample[i, s], *segment.tried[i, s]]
        for k, (action, gained) in enumerate(zip(actions, [float(own), *tried], strict=True)):
            others = [g for j, g in enumerate([float(own), *tried]) if j != k]
            if others:
                better = gained - float(np.mean(others))
                policy = policy - density.log_prob(action).sum() * better / len(actions)
        value = value + 0.5 * (R[i] - segment.value[i, s]) ** 2
    return [torch.as_tensor(v, dtype=torch.float64) for v in (imitation, policy, value)]


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


# One update against one student at a time


class PlainStudent:
    """A student as Section 3.3 describes it, alone, without batches."""

    def __init__(self, network, windows, options, number):
        self.network, self.windows, self.options, self.number = network, windows, options, number
        recipe = RECIPES[options.recipe]
        self.role = recipe.roles[number % len(recipe.roles)]
        grows = recipe.curriculum and self.role != "following"
        self.curriculum = Curriculum(options.curriculum, windows.length - 1, grows)
        self.episode = -1
        self.begin()

    def begin(self):
        self.episode += 1
        drawn = plan(
            self.options.episode,
            self.windows,
            self.options.seed,
            self.number,
            self.episode,
            self.options.students,
        )
        self.clip = load(self.windows, drawn, self.windows.length, self.options.episode, CPU)
        self.t, self.steps, self.box = 1, self.curriculum.horizon, self.clip.first[:4]
        self.state = self.network.initial_state(1)
        self.sums = [0.0, 0.0]

    def look(self):
        crops = [
            crop_batch(
                [self.clip.images[t]],
                self.clip.rows.windows[t : t + 1],
                self.clip.rows.sizes[t : t + 1],
                self.box[None],
                32,
            )
            for t in (self.t - 1, self.t)
        ]
        return self.network(*crops, self.state)

    def outcome(self, action):
        """The box that an action leads to, and its reward."""
        moved = transition(action.clamp(-1, 1), self.box)
        box = clip_box(moved, *self.clip.rows.sizes[self.t].tolist(), self.options.episode.smallest_box)
        return box, reward(overlap(box, self.clip.rows.truth[self.t]))

    def segment(self, noise, noises):
        """The loss of t_max steps."""
        rows = []
        for step, further in zip(noise, noises, strict=True):
            action, value, self.state = self.look()
            truth = action_between(self.clip.rows.truth[self.t], self.box)
            teacher = action_between(self.clip.rows.target[self.t], self.box)
            sigma = (action[0] - truth).abs().detach().clamp_min(self.options.loss.sigma_floor)
            sample = (action[0] + sigma * step).detach()
            tried = (action[0] + sigma * further).detach()
            tried_reward = torch.tensor([float(self.outcome(a)[1]) for a in tried])
            taken = {
                "autonomous": sample,
                "following": action_between(self.clip.rows.followed[self.t], self.box),
            }.get(self.role, action[0].detach())
            self.box, r = self.outcome(taken)
            teachers = reward(overlap(self.clip.rows.target[self.t], self.clip.rows.truth[self.t]))
            self.sums = [a + float(b) for a, b in zip(self.sums, (r, teachers), strict=True)]
            ends = self.t >= self.steps
            target = (truth if self.role == "imitating" else teacher).clamp(-1, 1)
            rows.append(
                (
                    action[0],
                    value[0],
                    sigma,
                    sample,
                    target,
                    r,
                    teachers,
                    torch.tensor(True),
                    torch.tensor(ends),
                    tried,
                    tried_reward,
                )
            )
            self.t += 1
            if ends:
                self.curriculum.finish(*self.sums)
                self.begin()
        with torch.no_grad():
            bootstrap = self.look().value
        *stacked, tried, tried_reward = (torch.stack(parts)[:, None] for parts in zip(*rows, strict=True))
        whole = Segment(*stacked, bootstrap, tried, tried_reward)
        found = plain_losses(whole, 0, self.role == "distilling", self.options.loss)
        self.state = self.state.detach()
        own, weight = self.options.loss.value_weight, self.options.loss.reinforcement_weight
        value = (weight if own is None else own) * found[2]
        if self.role == "autonomous":
            return weight * found[1] + value
        if self.role == "following":
            return value
        return found[0] + (value if self.options.loss.value_students == "all" else 0)


@pytest.mark.parametrize(
    ("recipe", "value_weight", "critic_rate", "judges", "tries"),
    [
        ("tras", None, 1.0, "autonomous", 0),
        ("tras", 0.3, 5.0, "all", 2),
        ("tras-kd", None, 1.0, "all", 0),
        ("tras-kd-gt", None, 1.0, "autonomous", 0),
        ("tras-no-curr", None, 1.0, "autonomous", 0),
        ("tras-judge", None, 1.0, "autonomous", 0),
        ("judge", 0.3, 1.0, "autonomous", 0),
    ],
)
def test_updates_are_those_of_students_that_learn_one_by_one(
    windows, recipe, value_weight, critic_rate, judges, tries
):
    options = run_options(
        recipe=recipe,
        students=2 * len(RECIPES[recipe].roles) if "judge" in recipe else 4,
        segment=3,
        episode=EpisodeOptions(mirror=0.5, reverse=0.5, shake=0.05),
        loss=LossOptions(
            reinforcement_weight=0.1,
            value_weight=value_weight,
            value_students=judges,
            weight_decay=0.0,
            tries=tries,
        ),
        optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=8, critic_rate=critic_rate),
    )
    learner, now = made(windows, options)
    network = first_student(options)
    plain = [PlainStudent(network, windows, options, s) for s in range(options.students)]
    critic = set(network.critic.parameters())
    others = [p for p in network.parameters() if p not in critic]
    optimiser = torch.optim.RAdam(others, lr=1e-2)
    judging = torch.optim.RAdam(critic, lr=1e-2 * critic_rate)
    for _ in range(7):
        noise, noises = learner._noise()
        network.zero_grad()
        sum(p.segment(noise[:, s], noises[:, :, s]) for s, p in enumerate(plain)).div(
            options.students
        ).backward()
        optimiser.step()
        judging.step()
        learner.update()
        torch.testing.assert_close(now.box, torch.stack([p.box for p in plain]), rtol=1e-4, atol=1e-3)
    for (name, a), b in zip(learner.student.named_parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)
    assert [c.horizon for c in now.curricula] == [p.curriculum.horizon for p in plain]


@pytest.mark.skipif(
    not shutil.which("g++") or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="torch.compile needs a C++ compiler and Python's headers on the CPU",
)
def test_a_compiled_network_learns_the_same(windows):
    plain, _ = made(windows, run_options())
    compiled, _ = made(windows, run_options(machine=MachineOptions(device="cpu", readers=1, compile=True)))
    for _ in range(3):
        plain.update()
        compiled.update()
    pairs = zip(plain.student.named_parameters(), compiled.student.parameters(), strict=True)
    for (name, a), b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


def test_a_network_that_cannot_be_compiled_here_is_one_message(windows, tmp_path, monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(tmp_path / "no-compiler")))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    learner, _ = made(windows, run_options(machine=MachineOptions(device="cpu", readers=1, compile=True)))
    with pytest.raises(ValueError, match=r"machine.compile: .*compiler.* or leave the option away"):
        learner.update()
    torch._dynamo.reset()


def test_frames_without_target_are_in_no_loss(windows):
    windows.present[:, 2] = False
    windows.truth[:, 2] = np.nan
    learner, _ = made(windows, run_options(recipe="tras-no-curr", segment=3))
    for _ in range(3):
        learner.update()
    assert all(p.isfinite().all() for p in learner.student.parameters())
    means = learner.means()
    assert all(np.isfinite(v) for v in means.values()) and means["reward/teacher"] <= 1


def test_learning_lowers_the_loss(small_videos, tmp_path):
    path = write_sample(tmp_path, list(open_dataset(f"synthetic:{small_videos}")))[0]
    options = run_options(
        recipe="tras-gt",
        students=8,
        student=StudentOptions("tiny", 64, 64),
        optimiser=OptimiserOptions(1e-3, "none"),
    )
    learner, _ = made(open_windows([path]), options)
    lines = []
    for _ in range(4):
        for _ in range(20):
            learner.update()
        lines.append(learner.means())
    assert lines[-1]["loss/imitation"] < 0.8 * lines[0]["loss/imitation"]
    assert lines[-1]["overlap"] > lines[0]["overlap"] and lines[-1]["horizon"] == 3


@pytest.mark.parametrize("batch_norm", ["frozen", "batch"])
def test_freezing_concerns_the_normalisation_alone(windows, batch_norm):
    options = run_options(optimiser=OptimiserOptions(batch_norm=batch_norm))
    learner, _ = made(windows, options)
    learner.student.eval()  # as a validation leaves it
    learner.update()
    # cuDNN refuses the LSTM's way back outside of training mode
    assert learner.student.lstm.training and learner.student.backbone.training == (batch_norm == "batch")


def test_divergence_is_told(windows):
    learner, _ = made(windows, run_options())
    learner.update()
    with torch.no_grad():
        learner.student.critic.bias[0] = float("nan")
    learner.update()
    with pytest.raises(ValueError, match="diverged: before update 2 a loss"):
        learner.means()
    with torch.no_grad():
        learner.student.actor.bias[0] = float("nan")
    with pytest.raises(ValueError, match="diverged: after update 2 an action"):
        learner.update()


@pytest.mark.parametrize("recipe", ["tras-kd", "judge"])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_run_that_diverges_is_told_and_keeps_nothing(sample, tmp_path, recipe, share):
    """Of a judge, whose actions nobody takes, nothing else would tell: its boxes are teachers'."""
    options = run_options(
        recipe=recipe,
        optimiser=OptimiserOptions(learning_rate=1e30, scaling="none", updates=8),
        validation=ValidationOptions(share=share, every=3),
        log=LogOptions(every=1000, checkpoint=4),
    )
    with pytest.raises(ValueError, match=r"learning diverged: .*optimiser.clip_gradient"):
        train([sample], tmp_path, options)
    assert not list(tmp_path.glob("*.*t*"))


# Episodes and curriculum


def test_every_window_comes_once_a_round(windows):
    options = EpisodeOptions()
    drawn = [plan(options, windows, 3, s, e, 4).window for e in range(6) for s in range(4)]
    assert sorted(drawn[:12]) == sorted(drawn[12:]) == list(range(12))
    assert drawn[:12] != drawn[12:]
    assert drawn == [plan(options, windows, 3, s, e, 4).window for e in range(6) for s in range(4)]


def test_a_mirrored_and_reversed_clip_shows_the_same_mirrored_and_reversed(windows):
    options = EpisodeOptions(mirror=1.0, reverse=1.0)
    drawn = plan(options, windows, 0, 0, 0, 1)
    assert drawn.mirrored and drawn.reversed
    clip = load(windows, drawn, 4, options, CPU)
    window = windows.window(drawn.window)
    for t in range(4):
        crop = crop_batch(
            [clip.images[t]], clip.rows.windows[t, None], clip.rows.sizes[t, None], clip.rows.truth[t, None]
        )[0]
        plain = torch.from_numpy(window.image(3 - t))
        region, size = torch.from_numpy(window.regions[3 - t]), torch.from_numpy(window.image_size[3 - t])
        truth = torch.from_numpy(window.ground_truth[3 - t])
        expected = crop_batch([plain], region[None], size[None], truth[None])[0].flip(-1)
        assert (
            crop - expected
        ).abs().mean() < 0.05  # corners that round the other way shift it by half a pixel
    start = load(windows, dataclasses.replace(drawn, shake=(0.1, 0, 0, -2.0)), 2, options, CPU).first
    assert start[3] == 1.0 and torch.isclose(start[0], clip.rows.truth[0, 0] + 0.1 * clip.rows.truth[0, 2])


def test_a_turned_and_hurried_clip_shows_the_same_turned_and_hurried(windows):
    drawn = plan(EpisodeOptions(turn=1.0, hurry=1.0), windows, 0, 0, 0, 1)
    assert drawn.quarters in (1, 2, 3) and drawn.hurried
    shown = [0, 2, 0, 2]
    window = windows.window(drawn.window)
    for quarters in (1, 2, 3):
        turned = dataclasses.replace(drawn, quarters=quarters)
        clip = load(windows, turned, 4, EpisodeOptions(), CPU)
        for t in range(4):
            crop = crop_batch(
                [clip.images[t]],
                clip.rows.windows[t, None],
                clip.rows.sizes[t, None],
                clip.rows.truth[t, None],
            )
            one = slice(shown[t], shown[t] + 1)
            regions, sizes, truth = (
                torch.from_numpy(values[one])
                for values in (window.regions, window.image_size, window.ground_truth)
            )
            plain = crop_batch([torch.from_numpy(window.image(shown[t]))], regions, sizes, truth)
            expected = plain.rot90(quarters, (2, 3))
            # Corners that round the other way shift it by half a pixel.
            assert (crop - expected).abs().mean() < 0.05
        wide = quarters % 2
        assert clip.rows.sizes[0].tolist() == window.image_size[0][:: -1 if wide else 1].tolist()


def test_a_follower_takes_any_teachers_boxes_and_strays_from_them_bit_by_bit(windows):
    options, length = EpisodeOptions(), windows.length
    two = next(n for n in range(len(windows)) if not np.isnan(windows.window(n).teacher).any())
    one = next(n for n in range(len(windows)) if np.isnan(windows.window(n).teacher).any())
    drawn = dataclasses.replace(
        plan(options, windows, 0, 0, 0, 4), window=two, drift=(0.0,) * 4, mirrored=False
    )
    for share, k in ((0.1, 0), (0.9, 1)):
        clip = load(windows, dataclasses.replace(drawn, follow=share), length, options, CPU)
        assert np.array_equal(clip.rows.followed, windows.window(two).teacher[:, k])
    alone = load(windows, dataclasses.replace(drawn, window=one, follow=0.9), length, options, CPU)
    assert np.array_equal(alone.rows.followed, windows.window(one).teacher[:, 0])
    strays = load(windows, dataclasses.replace(drawn, drift=(0.4, 0, -0.2, 0)), length, options, CPU)
    held = load(windows, dataclasses.replace(drawn), length, options, CPU).rows.followed
    share = torch.arange(length) / length
    torch.testing.assert_close(strays.rows.followed[:, 0], held[:, 0] + 0.4 * share * held[:, 2])
    torch.testing.assert_close(strays.rows.followed[:, 2], held[:, 2] * (1 - 0.2 * share))
    assert torch.equal(strays.rows.followed[:, [1, 3]], held[:, [1, 3]])
    turned = load(windows, dataclasses.replace(drawn, quarters=2, mirrored=True), length, options, CPU)
    back = overlap(turned.rows.followed, turned.rows.truth), overlap(held, strays.rows.truth)
    torch.testing.assert_close(*back)


def test_the_curriculum_grows_with_success_alone():
    c = Curriculum(CurriculumOptions(start=2, step=3, episodes=2, success=0.5), most=9)
    c.finish(0.3, 0.1 + 0.2)  # equal but for rounding
    c.finish(0.0, 1.0)
    assert c.horizon == 5 and c.longest_next == 8
    for _ in range(4):
        c.finish(0.0, 1.0)
    assert c.horizon == 5
    for _ in range(8):
        c.finish(1.0, 1.0)
    assert c.horizon == 9
    assert Curriculum(c.options, 9, True, **c.state()) == c
    still = Curriculum(c.options, 9, grows=False)
    still.finish(1, 0)
    assert still.horizon == still.longest_next == 9


def test_videos_are_held_out_by_name():
    names = [f"video {i}" for i in range(2000)]
    out = held_out(names, 0.25)
    assert 0.2 < out.mean() < 0.3 and (held_out(names[::-1], 0.25)[::-1] == out).all()
    assert not held_out(names, 0.0).any() and (out <= held_out(names, 0.5)).all()
    assert held_out(names[:5], 1e-9).sum() == 1  # a small set gives one at least


# Validation


def test_following_together_is_following_alone(windows):
    student = first_student(run_options())
    torch.nn.init.normal_(student.actor.weight, std=0.05)
    _, test = split(windows, 0.4)
    chosen = HeldOut(ValidationOptions(), EpisodeOptions(), test)
    tracked = follow(student, chosen, EpisodeOptions(), CPU)
    assert len(tracked) == len(chosen) == len(test)
    assert not any(
        sequence.window._images for _, sequence in tracked
    )  # of many, the images would fill the memory
    for boxes, sequence in tracked:
        box, state = torch.from_numpy(sequence.truth[0]), student.initial_state(1)
        for t in range(1, 4):
            pairs = [sequence.pixels(t - 1), sequence.pixels(t)]
            crops = [
                crop_batch(
                    [torch.from_numpy(p.image)],
                    torch.from_numpy(p.window)[None],
                    torch.tensor([p.size]),
                    box[None],
                    32,
                )
                for p in pairs
            ]
            action, _, state = student(*crops, state)
            box = clip_box(transition(action[0].detach().clamp(-1, 1), box), *pairs[1].size)
            torch.testing.assert_close(torch.from_numpy(boxes[t]), box, rtol=1e-4, atol=1e-3)


def test_whole_videos_validate_and_memories_return(small_videos, windows):
    options = ValidationOptions(videos=f"synthetic:{small_videos}:train", most=2)
    held = HeldOut(options, EpisodeOptions(), windows)
    found = held.validate(Student(TINY), CPU)
    still = held.baselines()["static box"]
    assert found.frames == still.frames and found.ao == pytest.approx(still.ao, abs=0.1)


@pytest.mark.parametrize(("split", "length"), [("test", 3), ("val", 1)])
def test_videos_that_nobody_can_be_scored_on_are_refused(windows, tmp_path, split, length):
    """A test split has boxes for its first frames alone: every student would score 0 on it."""
    folder = write_got10k(tmp_path, {"a": length, "b": length}, split)
    for name in ("a", "b"):
        (folder / name / "groundtruth.txt").write_text("5,7,10,12\n")
    with pytest.raises(ValueError, match=r"none of 2 videos has images, .*\(a test split has none\)"):
        HeldOut(ValidationOptions(videos=f"got10k:{tmp_path}:{split}"), EpisodeOptions(), windows)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.txt").write_text(rows(5))
    with pytest.raises(ValueError, match=r"none of 1 videos has images"):
        HeldOut(ValidationOptions(videos=f"annotations:{tmp_path / 'truth'}"), EpisodeOptions(), windows)


def test_scores_leave_out_frame_0_and_absent_frames():
    truth = np.tile(np.array([0, 0, 10, 10], np.float32), (4, 1))
    boxes = truth.copy()
    boxes[0] = boxes[3] = [50, 50, 1, 1]
    boxes[2, 2] = 5
    found = score([boxes], [(truth, np.array([True, True, True, False]))])
    assert found.ao == pytest.approx(0.75) and found.sr50 == 0.5 and found.frames == 2


# Runs


def weights(out, name="last.safetensors"):
    return load_student(out / name).state_dict()


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def straight(sample, tmp_path_factory):
    """The folder of a run without interruption."""
    out = tmp_path_factory.mktemp("run") / "straight"
    outcome = train([sample], out, run_options())
    assert outcome.ending == "updates" and outcome.updates == 8
    return out


def test_a_run_leaves_weights_history_and_checkpoint(straight):
    assert sorted(p.name for p in straight.iterdir()) == [
        "best.safetensors",
        "history.jsonl",
        "last.pt",
        "last.safetensors",
    ]
    history = [json.loads(line) for line in (straight / "history.jsonl").read_text().splitlines()]
    assert [line["update"] for line in history] == [3, 4, 6, 8]
    assert {"loss/imitation", "loss/policy", "loss/value", "reward/teacher", "horizon", "speed"} <= set(
        history[1]
    )
    assert 0 <= history[0]["validation/ao"] <= 1


def test_a_run_shorter_than_its_intervals_leaves_all_files_and_says_how_it_ended(sample, tmp_path, capsys):
    options = run_options(
        optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=2),
        validation=ValidationOptions(share=0.4, every=1000),
        log=LogOptions(every=100, checkpoint=500),
    )
    outcome = train([sample], tmp_path, options)
    said = capsys.readouterr().err
    assert (
        f"ended after update 2: all updates are made; for more, --optimiser.updates; {BEST} is of update 2"
        in said
    )
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["update"] for line in history] == [2, 2] and "loss/imitation" in history[0]
    assert history[1]["validation/ao"] == outcome.best
    assert same(weights(tmp_path, BEST), weights(tmp_path))
    again = train([sample], tmp_path, TrainOptions(), resume=True)
    assert again == outcome and "ended after update 2" in capsys.readouterr().err


def test_a_run_whose_time_is_over_before_a_validation_says_so(sample, tmp_path, capsys):
    options = run_options(optimiser=OptimiserOptions(minutes=0), validation=ValidationOptions(share=0.4))
    assert train([sample], tmp_path, options).ending == "minutes"
    assert f"the time is over; --resume goes on; nothing was validated yet, so there is no {BEST}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("at", [1, 3, 4, 7])
def test_killed_at_any_update_and_resumed_it_is_the_same_to_the_bit(
    sample, straight, tmp_path, monkeypatch, at
):
    real = Learner.update

    def dying(self, stop=False):
        if self.updates == at:
            raise MemoryError("as good as a kill: nothing is saved")
        return real(self, stop)

    monkeypatch.setattr(Learner, "update", dying)
    with pytest.raises(MemoryError):
        train([sample], tmp_path / "a", run_options())
    monkeypatch.setattr(Learner, "update", real)
    if at < 2:  # killed before the first checkpoint: there is nothing to resume
        with pytest.raises(DataError, match="no checkpoint to resume"):
            train([sample], tmp_path / "a", run_options(), resume=True)
        return
    outcome = train([sample], tmp_path / "a", TrainOptions(), resume=True)
    assert outcome.updates == 8
    assert same(weights(tmp_path / "a"), weights(straight))
    assert (tmp_path / "a/best.safetensors").read_bytes() == (straight / "best.safetensors").read_bytes()

    def lines(folder):
        found = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "speed"} for line in found]

    assert lines(tmp_path / "a") == lines(straight)


def test_what_is_kept_is_the_running_mean_of_the_weights(sample, tmp_path, monkeypatch):
    options = run_options()
    options = dataclasses.replace(options, optimiser=dataclasses.replace(options.optimiser, average=0.3))
    mean = {name: value.clone() for name, value in first_student(options).named_parameters()}
    real = Learner.update

    def watched(self, stop=False):
        result = real(self, stop)
        keep = min(0.3, self.updates / (self.updates + 10))
        for name, value in self.student.named_parameters():
            mean[name] = keep * mean[name] + (1 - keep) * value.detach()
        if self.updates == 5 and not (tmp_path / "again").exists():
            shutil.copytree(tmp_path / "a", tmp_path / "again")  # as if killed, the last checkpoint left
        return result

    monkeypatch.setattr(Learner, "update", watched)
    train([sample], tmp_path / "a", options)
    kept = weights(tmp_path / "a")
    for name, value in mean.items():
        torch.testing.assert_close(kept[name], value.detach(), rtol=1e-5, atol=1e-6, msg=name)
    monkeypatch.setattr(Learner, "update", real)
    train([sample], tmp_path / "again", TrainOptions(), resume=True)
    assert same(weights(tmp_path / "again"), kept)


def test_ctrl_c_leaves_a_checkpoint_that_goes_on(sample, straight, tmp_path, monkeypatch):
    real = Learner.update

    def interrupted(self, stop=False):
        if self.updates == 4:
            signal.raise_signal(signal.SIGINT)
        return real(self, stop)

    monkeypatch.setattr(Learner, "update", interrupted)
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore Ctrl-C from the start
    outcome = train([sample], tmp_path / "a", run_options())
    assert outcome.ending == "interrupted" and outcome.updates < 8
    assert signal.getsignal(signal.SIGINT) is before
    load_student(tmp_path / "a/last.safetensors")
    monkeypatch.setattr(Learner, "update", real)
    assert train([sample], tmp_path / "a", TrainOptions(), resume=True).ending == "updates"
    assert same(weights(tmp_path / "a"), weights(straight))


def test_validation_that_stops_improving_ends_the_run(sample, tmp_path):
    never = OptimiserOptions(learning_rate=1e-12, scaling="none", updates=100)
    options = run_options(optimiser=never, validation=ValidationOptions(share=0.4, every=1, patience=2))
    outcome = train([sample], tmp_path / "a", options)
    assert outcome.ending == "patience" and outcome.updates <= 4 and outcome.best_update <= 2
    again = train([sample], tmp_path / "a", options, resume=True)
    assert again.ending == "patience" and again.updates == outcome.updates


def test_time_ends_a_run(sample, tmp_path):
    options = run_options(optimiser=OptimiserOptions(updates=10**6, minutes=1e-4))
    assert train([sample], tmp_path / "a", options).ending == "minutes"


def command(sample, out, updates=8):
    """What `run_options` says, for a process of its own."""
    words = [sys.executable, "-m", "trainer", "--data", str(sample), "--out", str(out)]
    for name, value in {
        "students": 4,
        "segment": 2,
        "imagenet": "none",
        "student.backbone": "tiny",
        "student.width": 8,
        "student.crop-size": 32,
        "curriculum.start": 1,
        "curriculum.episodes": 1,
        "curriculum.success": 0,
        "optimiser.learning-rate": 1e-2,
        "optimiser.scaling": "none",
        "optimiser.updates": updates,
        "validation.share": 0.4,
        "validation.every": 3,
        "validation.patience": None,
        "machine.device": "cpu",
        "machine.threads": 1,
        "log.every": 4,
        "log.checkpoint": 2,
    }.items():
        words += [f"--{name}", str(value)]
    return words


def surroundings(**more):
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **more}


def test_after_kill_9_a_run_goes_on_to_the_same_bits(sample, tmp_path):
    out, updates = tmp_path / "killed", 150
    running = subprocess.Popen(
        command(sample, out, updates), env=surroundings(), stderr=subprocess.PIPE, text=True
    )
    while not (out / "last.pt").exists() and running.poll() is None:
        time.sleep(0.002)
    running.kill()
    _, errors = running.communicate()
    assert running.returncode == -signal.SIGKILL, errors
    assert load_checkpoint(out).learner["updates"] < updates
    options = run_options(optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=updates))
    assert train([sample], out, TrainOptions(), resume=True).updates == updates
    train([sample], tmp_path / "whole", options)
    assert same(weights(out), weights(tmp_path / "whole"))
    assert same(weights(out, "best.safetensors"), weights(tmp_path / "whole", "best.safetensors"))


def in_two_processes(words):
    """Run a command as torchrun would, without its seconds; what each process printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = surroundings(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE="2")
    peers = [
        subprocess.Popen(
            words,
            env={**group, "RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    printed = [peer.communicate(timeout=120) for peer in peers]
    assert [peer.returncode for peer in peers] == [0, 0], printed
    return [out for out, _ in printed]


def test_processes_wait_longer_for_each_other_than_a_validation_of_whole_videos_takes():
    words = "from trainer.processes import join; import torch; from torch import distributed as d; me = join('cpu'); "
    words += (
        "print(d.group.WORLD._get_backend(torch.device('cpu')).options._timeout.total_seconds()); me.leave()"
    )
    assert min(float(out) for out in in_two_processes([sys.executable, "-c", words])) >= 12 * 3600


def test_two_processes_learn_what_one_learns(sample, straight, tmp_path):
    in_two_processes(command(sample, tmp_path / "two"))
    two, one = weights(tmp_path / "two"), weights(straight)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5, msg=name)
    with pytest.raises(ValueError, match="learnt by 2 processes, not 1"):
        train([sample], tmp_path / "two", TrainOptions(), resume=True)


@pytest.mark.parametrize("precision", ["bfloat16"])
def test_mixed_precision_learns_as_well(sample, tmp_path, precision):
    options = run_options(machine=MachineOptions(device="cpu", readers=1, precision=precision))
    assert train([sample], tmp_path / "a", options).updates == 8
    assert all(v.dtype == torch.float32 and v.isfinite().all() for v in weights(tmp_path / "a").values())


# Options


def test_options_survive_json_and_resumption_takes_only_what_may_change(tmp_path):
    stored = run_options(init=tmp_path / "x.safetensors")
    assert from_json(json.loads(json.dumps(as_json(stored))), tmp_path) == stored
    minutes = dataclasses.replace(
        TrainOptions(), optimiser=OptimiserOptions(minutes=3), log=LogOptions(every=7)
    )
    found = resumed(stored, minutes)
    assert found.optimiser.minutes == 3 and found.log == LogOptions(every=7, checkpoint=2)
    assert found.optimiser.learning_rate == 1e-2 and found.machine == stored.machine
    with pytest.raises(ValueError, match=r"students 4 -> 8; loss.gamma 1.0 -> 0.5"):
        resumed(stored, TrainOptions(students=8, loss=LossOptions(gamma=0.5)))
    more = TrainOptions(optimiser=OptimiserOptions(updates=30))
    assert resumed(stored, more).optimiser == dataclasses.replace(stored.optimiser, updates=30)
    decaying = run_options(optimiser=dataclasses.replace(stored.optimiser, decay="linear"))
    with pytest.raises(ValueError, match=r"optimiser.updates 8 -> 30"):
        resumed(decaying, more)
    with pytest.raises(DataError, match=r"not those of this version \(recipe: Input should be .*\)"):
        from_json({"recipe": "other"}, tmp_path)
    newer = as_json(stored)
    newer["loss"]["entropy"] = 0.1
    with pytest.raises(DataError, match=r"options that this version does not have \(loss.entropy\)"):
        from_json(newer, tmp_path)


def test_a_resumed_run_takes_a_default_that_is_named(sample, straight, tmp_path, monkeypatch, capsys):
    shutil.copytree(straight, tmp_path / "a")
    words = ["trainer", "--data", str(sample), "--out", str(tmp_path / "a"), "--resume", "--json"]

    def resume(*more):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        code = run_only_command(Train, "python -m trainer", pairs=True)
        return code, capsys.readouterr()

    code, printed = resume("--students", "24", "--loss.gamma=1.0", "--loss.clip-targets")
    assert code == 2 and "given anew: students 4 -> 24." in printed.err
    code, printed = resume("--optimiser.updates", "1000000", "--optimiser.minutes", "0", "--log.every", "100")
    assert code == 0 and json.loads(printed.out)["ending"] == "minutes"
    options = load_checkpoint(tmp_path / "a").options
    assert options.optimiser.updates == 10**6 and options.log == LogOptions(every=100, checkpoint=2)
    assert options.validation.patience is None  # at its default, 10, and not named


def test_what_a_run_began_with_can_be_taken_back(sample, tmp_path, monkeypatch):
    train([sample], tmp_path / "a", run_options(machine=MachineOptions(device="cpu", threads=1)))
    # As a run that began with TensorBoard leaves it, where that need not be installed.
    path = tmp_path / "a" / "last.pt"
    content = torch.load(path, weights_only=True)
    content["options"]["log"]["tensorboard"] = True
    torch.save(content, path)
    words = (
        f"trainer --data {sample} --out {tmp_path / 'a'} --resume --optimiser.updates 9 --log.no-tensorboard"
    )
    monkeypatch.setattr(sys, "argv", [*words.split(), "--machine.threads", "None"])
    assert run_only_command(Train, "python -m trainer", pairs=True) == 0
    options = load_checkpoint(tmp_path / "a").options
    assert (options.log.tensorboard, options.machine.threads, options.optimiser.updates) == (False, None, 9)


@pytest.mark.parametrize("group", ["loss", "curriculum", "episode"])
def test_every_choice_is_in_the_page_of_deviations(group):
    page = (REPOSITORY / "docs/deviations.md").read_text()
    names = [f.name.replace("_", "-") for f in dataclasses.fields(getattr(TrainOptions(), group))]
    assert [
        name for name in names if f"`{group}.{name}" not in page and f"`--{group}.{name}" not in page
    ] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": 3}, "students is 3, and has to be a multiple of 2"),
        ({"recipe": "judge", "validation": ValidationOptions(videos="otb:x")}, "validation.videos is otb:x"),
        ({"loss": LossOptions(tries=-1)}, "loss.tries is -1"),
        ({"loss": LossOptions(advantage="immediate")}, "loss.tries is 0, and has to be at least 1"),
        ({"episode": EpisodeOptions(drift=-0.1)}, "episode.drift is -0.1"),
        ({"segment": 0}, "segment is 0"),
        ({"episode": EpisodeOptions(smallest_box=0)}, "episode.smallest_box is 0"),
        ({"validation": ValidationOptions(share=1.0)}, "validation.share is 1.0"),
        ({"optimiser": OptimiserOptions(learning_rate=-1)}, "optimiser.learning_rate is -1"),
        ({"optimiser": OptimiserOptions(learning_rate=float("inf"))}, "rate is inf, and has to be finite"),
        ({"episode": EpisodeOptions(shake=float("inf"))}, "episode.shake is inf, and has to be finite"),
        ({"optimiser": OptimiserOptions(critic_rate=0)}, "optimiser.critic_rate is 0"),
        ({"loss": LossOptions(value_weight=-1)}, "loss.value_weight is -1"),
        ({"optimiser": OptimiserOptions(clip_gradient=0)}, "optimiser.clip_gradient is 0"),
        ({"validation": ValidationOptions(patience=0)}, "validation.patience is 0"),
        ({"loss": LossOptions(weight_decay=-1)}, "loss.weight_decay is -1"),
    ],
)
def test_wrong_options_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        run_options(**changes)


def test_wrong_options_of_the_command_line_are_one_line(tmp_path, capsys):
    words = ["--data", "a.h5", "--out", str(tmp_path / "a"), "--students", "3"]
    with pytest.raises(SystemExit) as ended:
        run_only_command(Train, "python -m trainer", words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert (
        said
        == "python -m trainer: students is 3, and has to be a multiple of 2, the roles of the recipe tras\n"
    )


def test_logs_that_are_not_installed_are_named(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(logs.importlib, "import_module", absent)
    with pytest.raises(ValueError, match=r"log.dvclive needs the package dvclive.*\[logs\]"):
        logs.Logs(tmp_path, LogOptions(dvclive=True), 0, {})


# Bad input


def copy_of(sample, folder):
    """The set and its frames, to be damaged."""
    folder.mkdir()
    for path in sample.parent.iterdir():
        if path.suffix == ".h5":
            (folder / path.name).write_bytes(path.read_bytes())
    return folder / sample.name


def rewritten(folder, videos, **arrays):
    """A well-formed set of other boxes."""
    folder.mkdir()
    with FramesWriter(folder / "frames.h5", Encoding()) as frames:
        for video in videos:
            frames.append(encode_video(video, np.arange(len(video)), Encoding()))
    held = dataclasses.replace(content(videos), **arrays)
    write_set(folder / "P-0.5.h5", held, folder / "frames.h5")
    return folder / "P-0.5.h5"


def test_a_set_that_is_none_of_this_version(sample, tmp_path):
    path = copy_of(sample, tmp_path / "set")
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(DataError, match=r"P-0.5.h5"):
        train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_a_set_without_its_pixels(sample, tmp_path):
    path = copy_of(sample, tmp_path / "set")
    (path.parent / "frames.h5").unlink()
    with pytest.raises(DataError, match="cannot find its pixels"):
        train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_a_window_whose_pixels_are_damaged(sample, tmp_path):
    path = copy_of(sample, tmp_path / "set")
    with h5py.File(path.parent / "frames.h5", "r") as file:
        data = file["frames/data"]
        start, size = data.id.get_offset(), data.size
    with (path.parent / "frames.h5").open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))
    with pytest.raises(DataError, match=r"row \d+ of /frames is damaged"):
        train([path], tmp_path / "a", run_options())


def test_boxes_that_are_not_numbers(videos, tmp_path):
    whole = content(videos)
    truth = whole.ground_truth.copy()
    truth[5, 2, 0] = np.nan
    teacher = whole.teacher.copy()
    teacher[4, 3, 0, 2] = np.nan
    nobody = whole.teacher.copy()
    nobody[2] = np.nan
    cases = [
        ({"ground_truth": truth}, "window 5 .*ground truth is not a valid box"),
        ({"teacher": teacher}, "window 4 .*not all finite"),
        ({"teacher": nobody}, "window 2 .*no teacher is positive"),
    ]
    for i, (arrays, message) in enumerate(cases):
        path = rewritten(tmp_path / str(i), videos, **arrays)
        with pytest.raises(DataError, match=message):
            train([path], tmp_path / "a", run_options())
    assert not (tmp_path / "a").exists()


def test_a_set_with_no_positive_window(videos, tmp_path):
    whole = content(videos)
    none = {
        name: getattr(whole, name)[:0]
        for name in ("window_video", "window_start", "ground_truth", "absent", "teacher")
    }
    path = rewritten(tmp_path / "set", videos, **none)
    with pytest.raises(DataError, match="no positive window"):
        train([path], tmp_path / "a", run_options())


def test_windows_of_one_frame_are_refused(videos, tmp_path):
    whole = content(videos)
    path = rewritten(
        tmp_path / "set",
        videos,
        provenance=dataclasses.replace(whole.provenance, window_length=1),
        ground_truth=whole.ground_truth[:, :1],
        absent=whole.absent[:, :1],
        teacher=whole.teacher[:, :1],
    )
    with pytest.raises(DataError, match="its windows have 1 frame"):
        open_windows([path])


def test_runs_that_do_not_fit_what_lies_there(sample, straight, videos, tmp_path):
    with pytest.raises(ValueError, match="holds a run already"):
        train([sample], straight, run_options())
    with pytest.raises(ValueError, match=r"keeps its options.*students 4 -> 6"):
        train([sample], straight, TrainOptions(students=6), resume=True)
    other = rewritten(tmp_path / "set", videos[:3])
    with pytest.raises(ValueError, match="other transfer sets"):
        train([other], straight, TrainOptions(), resume=True)
    twice = tmp_path / "twice"
    train([sample, other], twice, run_options())
    for data in ([other, sample], [sample]):
        with pytest.raises(
            ValueError, match=r"other transfer sets, or in another order: .* \w+, \w+, not \w+"
        ):
            train(data, twice, TrainOptions(), resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is no folder"):
        train([sample], tmp_path / "file", run_options())
    with pytest.raises(
        ValueError,
        match=r"holds a student of --student.backbone tiny .*-size 32, not of .*small",
    ):
        train(
            [sample],
            tmp_path / "b",
            run_options(init=straight / "best.safetensors", student=StudentOptions("small")),
        )
    with pytest.raises(ValueError, match="leaves"):
        train([sample], tmp_path / "b", run_options(validation=ValidationOptions(share=0.999)))
    with pytest.raises(ValueError, match=r"no CUDA device|no device"):
        train(
            [sample],
            tmp_path / "b",
            run_options(machine=MachineOptions(device="cuda" if not torch.cuda.is_available() else "x")),
        )
    assert not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/last.pt").write_bytes((straight / "last.pt").read_bytes()[:-50])
    with pytest.raises(DataError, match="cannot be read"):
        train([sample], tmp_path / "c", TrainOptions(), resume=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("sets"), "KeyError: 'sets'"),
        (lambda c: c["standing"].update(worst=0), "worst"),
        (lambda c: c["learner"].pop("average"), "KeyError: 'average'"),
        (lambda c: c["learner"]["student"].pop("fc.bias"), "Missing key.*fc.bias"),
        (lambda c: c["learner"].update(measures=torch.zeros(5, dtype=torch.float64)), "size of tensor"),
        (lambda c: c["interactions"][0].pop("gained"), "KeyError: 'gained'"),
        (lambda c: c["options"]["student"].update(width=16), "size mismatch"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused(sample, tmp_path, change, reason):
    options = run_options()
    train(
        [sample], tmp_path, dataclasses.replace(options, optimiser=OptimiserOptions(average=0.5, updates=1))
    )
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    change(content)
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(DataError, match=rf"last.pt: its content does not fit this version .*{reason}"):
        train([sample], tmp_path, TrainOptions(), resume=True)


def test_a_history_that_a_power_cut_damaged_is_named(sample, straight, tmp_path):
    shutil.copytree(straight, tmp_path / "a")
    path = tmp_path / "a" / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "\0" * 50 + "\n", *lines[1:], '{"update": 1']))
    with pytest.raises(
        DataError, match=r"history.jsonl, line 2: .* is no values of an update. Remove the line"
    ):
        train([sample], tmp_path / "a", TrainOptions(), resume=True)
    path.write_text("".join([*lines, '{"update": 1']))  # cut short, as a kill leaves it
    train([sample], tmp_path / "a", TrainOptions(), resume=True)
    assert path.read_text() == "".join(lines)


def test_a_full_disk_is_named_and_nothing_is_left_half_written(straight, tmp_path, small_files):
    shutil.copy(straight / "history.jsonl", tmp_path)
    student = Student(dataclasses.replace(TINY, width=64))
    with pytest.raises(DataError, match=r"x.safetensors: cannot be written \(File too large\)"):
        save_student(tmp_path / "x.safetensors", student)
    with pytest.raises(DataError, match=r"last.pt: cannot be written \(File too large\)"):
        load_checkpoint(straight).save(tmp_path)
    writer = logs.Logs(tmp_path, LogOptions(), 8, {})
    with pytest.raises(DataError, match=r"history.jsonl: cannot be written \(File too large\)"):
        writer.write(9, {f"loss/{i}": 1 / 3 for i in range(500)})
    assert [p.name for p in tmp_path.iterdir()] == ["history.jsonl"]


def test_who_may_read_the_history_may_read_the_weights(straight):
    assert len({path.stat().st_mode for path in straight.iterdir()}) == 1


def test_states_of_other_students_do_not_leak(windows):
    learner, now = made(windows, run_options())
    learner.update()
    assert isinstance(now.memory, LSTMState) and not now.memory.hidden.requires_grad
