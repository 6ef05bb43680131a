"""The training of the slim MDNet, and the weights that it gave."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from datasets.boxes import overlap
from datasets.command_line import run_only_command
from datasets.errors import DataError
from datasets.synthetic import SyntheticOptions
from datasets.synthetic.render import render
from teachers import listing, registry
from teachers.base import Task
from teachers.mdnet import Mdnet
from teachers.mdnet.budget import PUBLISHED, SLIM
from teachers.mdnet.crop import as_input
from teachers.mdnet.network import Network, Widths, load_network
from teachers.mdnet.tracker import SLIM_WEIGHTS
from teachers.training import mdnet, mdnet_domains
from teachers.training.clips import clip
from teachers.training.mdnet import RATE, Schedule, Train, Training
from teachers.training.mdnet_domains import (
    NEGATIVES,
    POSITIVES,
    Domain,
    draw_domain,
    generator,
    minibatch,
    order,
    roles,
)
from teachers.training.mdnet_network import GAIN, SCALE, MultiDomain, Ridge
from teachers.training.mdnet_pool import by_operators, trainable_pool

TINY = Widths(8, 8, 16, 16, 16)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Other tests run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def domains() -> list[Domain]:
    return [draw_domain(3, index, 4) for index in range(2)]


@pytest.mark.parametrize("size", [1.0, 300.0])
def test_the_gradient_of_the_pool_is_pytorchs(size):
    g = torch.Generator().manual_seed(0)
    x = (torch.randn(3, 5, 9, 12, generator=g) * size).requires_grad_()
    by = torch.randn(3, 5, 4, 5, generator=g)
    (found,) = torch.autograd.grad((trainable_pool(x) * by).sum(), x)
    (wanted,) = torch.autograd.grad((by_operators(x) * by).sum(), x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_pool_has_a_gradient_on_other_devices_too():
    """PyTorch's device without memory stands for a GPU: what the tracker's pool does there cannot be learnt through."""
    x = torch.empty(2, 5, 9, 12, device="meta", requires_grad=True)
    pooled = trainable_pool(x)
    assert pooled.shape == (2, 5, 4, 5)
    pooled.sum().backward()
    assert x.grad is not None


def test_a_minibatch_is_a_function_of_seed_and_iteration(domains):
    first, again, other = (minibatch(domains[0], generator(0, f"iteration/{i}")).patches for i in (5, 5, 6))
    assert first.shape == (POSITIVES + NEGATIVES, 107, 107, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, minibatch(domains[0], generator(1, "iteration/5")).patches)


def test_positives_show_the_target_and_negatives_do_not():
    """A white target on black: positives are mostly white, negatives mostly black."""
    images = np.zeros((3, 120, 160, 3), np.uint8)
    images[:, 40:70, 60:100] = 255
    domain = Domain(images, np.tile(np.array([60, 40, 40, 30], np.float32), (3, 1)))
    white = minibatch(domain, generator(0, "x")).patches[..., 1].mean(axis=(1, 2)) / 255
    assert white[:POSITIVES].min() > 0.35
    assert white[POSITIVES:].mean() < 0.25


def test_a_target_that_fills_its_image_still_gives_whole_minibatches():
    domain = Domain(np.zeros((1, 60, 80, 3), np.uint8), np.array([[0, 0, 80, 60]], np.float32))
    assert len(minibatch(domain, generator(0, "x")).patches) == POSITIVES + NEGATIVES


def test_a_mirrored_minibatch_is_the_other_one_seen_in_a_mirror(domains):
    class Settled(np.random.RandomState):
        """Of a known answer to whether it is mirrored."""

        def rand(self, *shape):
            return super().rand(*shape) if shape else self.answer

    drawn = []
    for answer in (0.9, 0.1):
        rng = Settled(0)
        rng.answer = answer
        drawn.append(minibatch(domains[0], rng))
    plain, mirrored = drawn
    assert np.array_equal(mirrored.patches, plain.patches[:, :, ::-1])
    assert np.array_equal(mirrored.shifts, plain.shifts * np.float32([-1, 1, 1, 1]))
    assert np.abs(plain.shifts[:, 0]).max() > 0.05


def test_a_domain_is_a_clip_in_rgb():
    drawn = clip(0, 0, 4)
    assert np.array_equal(draw_domain(0, 0, 4).images, drawn.images[..., ::-1])


def test_every_cycle_visits_every_domain_once():
    visits = [order(0, i, 7) for i in range(21)]
    for cycle in range(3):
        assert sorted(visits[7 * cycle : 7 * cycle + 7]) == list(range(7))
    assert visits[:7] != visits[7:14]


def test_the_last_layer_is_a_ridge_regression():
    g = torch.Generator().manual_seed(0)
    x, y, answers = (torch.randn(n, d, generator=g).double() for n, d in ((20, 6), (5, 6), (20, 4)))
    layer = Ridge().double()
    centred = x - x.mean(0)
    size = centred.square().sum(1).mean()
    # In the primal: the minimiser w of |centred w - (answers - mean)|^2 + ridge size |w|^2.
    gram = centred.T @ centred + layer.log_ridge.exp() * size * torch.eye(6)
    w = torch.linalg.solve(gram, centred.T @ (answers - answers.mean(0)))
    wanted = (y - x.mean(0)) @ w + answers.mean(0)
    torch.testing.assert_close(layer(x, answers, y), wanted, rtol=1e-5, atol=1e-5)


def test_a_few_steps_reduce_the_loss(domains):
    training = Training(domains, 0, TINY)
    losses = [training.step(4e-3) for _ in range(16)]
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])


def test_a_resumed_training_goes_on_as_if_nothing_had_happened(domains, tmp_path):
    whole, cut = Training(domains, 0, TINY), Training(domains, 0, TINY)
    expected = [whole.step(1e-3) for _ in range(5)]
    assert [cut.step(1e-3) for _ in range(3)] == expected[:3]
    torch.save(cut.state(), tmp_path / "state.pt")
    resumed = Training(domains, 0, TINY)
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [resumed.step(1e-3) for _ in range(2)] == expected[3:]


def test_shipped_weights_see_unscaled_patches_as_the_training_saw_scaled_ones(domains):
    network = MultiDomain(TINY, 0)
    patches = as_input(minibatch(domains[0], generator(0, "x")).patches[:8])
    network.standardise(patches / SCALE)
    tracker = Network(TINY)
    tracker.load_state_dict(network.shipped())
    found = tracker.eval().requires_grad_(False).features(patches)
    x, _ = network(patches / SCALE)
    torch.testing.assert_close(found, GAIN * x.detach(), rtol=1e-4, atol=1e-4)
    after, before = (n.fc4(features).detach() for n, features in ((tracker, found), (network.shared, x)))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_the_rate_falls_with_whichever_share_is_larger():
    schedule = Schedule(1000, 10)
    assert schedule.share(500, 0) == schedule.share(0, 300) == 0.5
    assert schedule.rate(0, 0) < schedule.rate(200, 0) > schedule.rate(600, 0) > schedule.rate(600, 590)
    assert schedule.rate(1000, 0) == 0
    assert schedule.rate(0, 0) == pytest.approx(RATE / 100)  # no iteration is without effect


def test_the_program_writes_the_same_weights_twice_and_says_what_they_are(tmp_path):
    for name in ("a", "b"):
        Train(tmp_path / f"{name}.safetensors", seed=4, iterations=2, domains=2, length=3).run()
    a, b = (tmp_path / f"{name}.safetensors" for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()
    assert a.stat().st_size < 5e6
    assert a.stat().st_mode == a.with_suffix(".json").stat().st_mode  # others may read both
    assert load_network(a).widths == Widths(32, 64, 128, 128, 128)
    record = json.loads(a.with_suffix(".json").read_text())
    assert record["options"] == {"seed": 4, "iterations": 2, "domains": 2, "length": 3}
    assert "not the published" in record["what"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.json", "a.safetensors", "b.json", "b.safetensors",
    ]  # fmt: skip


def test_a_program_that_cannot_resume_says_so(tmp_path):
    with pytest.raises(DataError, match="no training to go on from"):
        Train(tmp_path / "a.safetensors", resume=True).run()
    training = Training([draw_domain(0, 0, 3)], 0, TINY)
    torch.save({"options": {"seed": 9}, **training.state()}, tmp_path / "a.partial.pt")
    with pytest.raises(DataError, match="other options"):
        Train(tmp_path / "a.safetensors", resume=True).run()
    with pytest.raises(ValueError, match="safetensors"):
        Train(tmp_path / "a.pth").run()


def test_a_minibatch_goes_from_earlier_to_later_frames():
    """Every frame has a grey level of its own."""
    levels = np.arange(12, dtype=np.uint8) * 20
    images = np.broadcast_to(levels[:, None, None, None], (12, 120, 160, 3))
    domain = Domain(np.ascontiguousarray(images), np.tile(np.float32([60, 40, 40, 30]), (12, 1)))
    shown = minibatch(domain, generator(0, "x")).patches[..., 1].max(axis=(1, 2))
    target, earlier = roles()
    for part in (target == 1, target == 0):
        assert len(set(shown[part])) == 8
        assert (np.diff(shown[part].astype(int)) >= 0).all()
        assert shown[part & earlier].max() < shown[part & ~earlier].min()
        assert earlier[part].mean() == 0.5
    assert target.tolist() == [1] * POSITIVES + [0] * 96


def test_positives_and_negatives_overlap_the_target_as_much_as_they_shall():
    """Every pixel is its own place, so a patch says where its box is: found from the middle of each."""
    target = np.float32([100, 80, 40, 36])
    y, x = np.mgrid[:200, :240]
    images = np.repeat(np.dstack([x, y, 0 * x]).astype(np.uint8)[None], 8, axis=0)
    domain = Domain(images, np.tile(target, (8, 1)))
    boxes = []
    for part in np.split(minibatch(domain, generator(0, "x")).patches[..., :2].astype(float), [POSITIVES]):
        first, last = np.sort([part[:, 33, 33], part[:, 73, 73]], axis=0)
        size = (last - first) * 107 / 40 / (139 / 107)
        boxes.append(np.concatenate([(first + last) / 2 + 0.5 - size / 2, size], axis=1))
    near, far = (overlap(found[(found[:, 2:] > 15).all(axis=1)], target) for found in boxes)
    assert 0.65 < near.min() < 0.8
    assert 0.4 < far.max() < 0.55


def test_some_positives_are_of_those_that_the_regressor_of_boxes_learns_from():
    """Farther away, and of other aspects, than those around the target."""
    domain = Domain(np.zeros((8, 240, 320, 3), np.uint8), np.tile(np.float32([120, 90, 60, 60]), (8, 1)))
    shifts = np.concatenate([minibatch(domain, generator(k, "x")).shifts for k in range(8)])
    aspect = np.abs(shifts[:, 2] - shifts[:, 3])
    assert 0.2 < (aspect > 1e-5).mean() <= 0.5
    assert aspect.max() > 0.1


def test_frames_without_the_target_are_left_out(monkeypatch):
    drawn = clip(3, 0, 4)
    smallest = np.sort(drawn.boxes[:, 2:].min(axis=1))
    monkeypatch.setattr(mdnet_domains, "SMALLEST", float(smallest[2]))
    seen = drawn.boxes[:, 2:].min(axis=1) >= smallest[2]
    domain = draw_domain(3, 0, 4)
    assert seen.sum() == len(domain.images) == 2
    np.testing.assert_array_equal(domain.boxes, drawn.boxes[seen])
    monkeypatch.setattr(mdnet_domains, "SMALLEST", 1e4)
    assert len(draw_domain(3, 0, 4).images) == 4  # rather those than none


def test_the_loss_is_of_later_frames_by_what_earlier_ones_taught():
    network, patches = (
        MultiDomain(TINY, 0),
        torch.randn(2, 3, 107, 107, generator=torch.Generator().manual_seed(0)),
    )
    network.standardise(patches)
    network.eval()
    target, earlier = (torch.from_numpy(role) for role in roles())
    shifts = torch.ones(POSITIVES, 4)
    changed = torch.where(earlier[:POSITIVES, None], shifts, -shifts)
    with torch.no_grad():
        same = network.loss(patches[target.long()], shifts)
        # What was a target is none any more.
        swapped = network.loss(patches[torch.where(earlier, target, 1 - target).long()], shifts)
        regressed = network.loss(patches[target.long()], changed)
    assert same < 0.6 and swapped > 1.2
    # Always 1 is learnt, and -1 asked for: four times the error of 0, at half weight.
    assert regressed - same == pytest.approx(2, abs=1e-4)


def test_every_iteration_has_dropout_masks_of_its_own(domains):
    training, after = Training(domains[:1], 0, TINY), []
    for _ in range(2):
        training.step(1e-3)
        after.append(float(torch.rand(1)))
    assert after[0] != after[1]


def test_a_long_gradient_is_cut(domains):
    training = Training(domains, 0, TINY)
    for last in training.network.last:
        last.log_slope.data.fill_(8.0)
    training.step(1e-3)
    length = torch.stack([p.grad.norm() for p in training.network.parameters()]).norm()
    assert float(length) == pytest.approx(10, rel=1e-3)


def test_training_starts_with_outputs_of_unit_variance(domains):
    training = Training(domains, 0, TINY)
    patches, _ = training.minibatch(0)
    assert 1 < patches.abs().max() <= 2
    x, _ = training.network.eval()(patches)
    s = training.network.shared
    fourth = s.fc4(x)
    for output in (fourth, s.fc5(fourth.relu())):
        assert float(output.detach().std()) == pytest.approx(1, rel=1e-3)


def test_the_record_has_the_mean_of_every_so_many_losses_though_it_was_cut(domains, tmp_path, monkeypatch):
    monkeypatch.setattr(mdnet, "REPORTED", 2)
    training = Training(domains, 0, TINY)
    losses = [training.step(1e-3) for _ in range(3)]
    torch.save(training.state(), tmp_path / "state.pt")
    training = Training(domains, 0, TINY)
    training.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    losses.append(training.step(1e-3))
    assert training.losses == [round(float(np.mean(losses[k : k + 2])), 4) for k in (0, 2)]


def test_a_killed_program_that_is_resumed_writes_the_weights_of_one_that_was_not(tmp_path, monkeypatch):
    options = {"seed": 3, "iterations": 3, "domains": 2, "length": 3}
    Train(tmp_path / "a.safetensors", **options).run()
    monkeypatch.setattr(mdnet, "SAVED", 0.0)
    step = Training.step

    def killed(training, rate):
        if training.iteration == 2:
            raise KeyboardInterrupt
        return step(training, rate)

    monkeypatch.setattr(Training, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        Train(tmp_path / "b.safetensors", **options).run()
    iterations = []
    monkeypatch.setattr(
        Training, "step", lambda training, rate: iterations.append(training.iteration) or step(training, rate)
    )
    Train(tmp_path / "b.safetensors", **options, resume=True).run()
    assert iterations == [2]
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert not (tmp_path / "b.partial.pt").exists()


def test_the_program_has_help_with_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        run_only_command(Train, "python -m teachers.training.mdnet", ["--help"])
    assert ended.value.code == 0
    assert "python -m teachers.training.mdnet --out" in capsys.readouterr().out.split("Example", 1)[1]


# --- the weights that come with the project ----------------------------------------------------------------------


def test_the_shipped_weights_are_small_and_say_what_they_are():
    assert SLIM_WEIGHTS.stat().st_size < 5e6
    record = json.loads(SLIM_WEIGHTS.with_suffix(".json").read_text())
    assert "not the published" in record["what"]
    assert record["losses"]["mean"][-1] < 0.7 * record["losses"]["mean"][0]
    state = safetensors.torch.load_file(SLIM_WEIGHTS)
    assert load_network(SLIM_WEIGHTS).widths == Widths(**record["widths"])
    assert all(bool(torch.isfinite(value).all()) for value in state.values())


def test_without_weights_the_slim_network_runs_with_fewer_samples():
    (described,) = listing.describe(["mdnet"], options=True)
    assert described.state == "ready"
    assert any("slim" in option for option in described.options)
    assert registry.create("mdnet", {})._batch._budget is SLIM
    assert registry.create("mdnet", {"samples": "published"})._batch._budget is PUBLISHED
    assert Mdnet(SLIM_WEIGHTS)._batch._budget is PUBLISHED


def test_the_slim_network_beats_a_static_box():
    options = SyntheticOptions(max_length=18, image_size=(320, 240), difficulty=(0.2, 0.4))
    frames = list(render(11, 2, options))
    images, boxes = [f[0] for f in frames], np.stack([f[1] for f in frames])
    static = overlap(boxes[0], boxes[1:])
    assert static.mean() < 0.6  # the target does move
    teacher = Mdnet()
    teacher.start(images[0], boxes[0], Task("short", len(frames)))
    tracked = overlap(np.stack([teacher.track(image) for image in images[1:]]), boxes[1:])
    assert tracked.mean() > max(0.5, static.mean() + 0.15)
