"""The slim SiamRPN: its procedural pairs, its loss, its training, and the weights that the project ships."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_videos import write_images

from datasets.boxes import is_valid, overlap
from datasets.command_line import run_only_command
from datasets.synthetic.sprites import ellipse
from datasets.video import Video
from teachers import listing, registry
from teachers.base import Task
from teachers.options import TeacherConfigError
from teachers.siamrpn import SiamRpn
from teachers.siamrpn.anchors import anchors
from teachers.siamrpn.factory import SLIM_WEIGHTS
from teachers.training import siamrpn_learner
from teachers.training.clips import clip
from teachers.training.pairs import pair
from teachers.training.poses import draw_limbs, drawn_poses, tight_box
from teachers.training.scoring import score
from teachers.training.siamrpn import Progress, Train
from teachers.training.siamrpn_learner import SEARCH, SIDE, Learner, Pairs, schedule
from teachers.training.siamrpn_loss import loss, overlaps, targets
from teachers.training.starting_filters import gabor_filters
from teachers.training.surfaces import bank
from teachers.training.things import CANVAS, Thing, limb, silhouette

pytestmark = pytest.mark.usefixtures("one_thread")


# Procedural pairs and clips


def test_a_pair_is_a_function_of_seed_and_index():
    first = pair(0, 17)
    pair(0, 18)
    bank.cache_clear()
    again = pair(0, 17)
    for name in ("exemplar", "search", "box"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.search, pair(0, 18).search)
    assert not np.array_equal(first.search, pair(6, 17).search)


@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 2999))
def test_a_pairs_box_is_around_a_point_of_the_search_region(index):
    made = pair(0, index, 223)
    assert made.exemplar.shape == (127, 127, 3) and made.search.shape == (223, 223, 3)
    assert made.exemplar.dtype == made.search.dtype == np.uint8
    assert made.box.dtype == np.float32 and is_valid(made.box)
    x, y, w, h = made.box
    assert 0 <= x + w / 2 <= 223 and 0 <= y + h / 2 <= 223
    # About the size that every search region is scaled to: a square target has 64 pixels.
    assert 64 * 0.6 < np.sqrt((w + (w + h) / 2) * (h + (w + h) / 2)) / 2 < 64 * 1.6


@settings(max_examples=10, deadline=None)
@given(index=st.integers(0, 2999), length=st.integers(3, 6))
def test_a_clips_boxes_lie_in_its_images_and_move_smoothly(index, length):
    made = clip(0, index, length, (200, 150))
    assert made.images.shape == (length, 150, 200, 3) and made.boxes.shape == (length, 4)
    assert is_valid(made.boxes).all()
    assert (made.boxes[:, :2] >= 0).all()
    assert (made.boxes[:, :2] + made.boxes[:, 2:] <= np.array([200, 150]) + 1e-3).all()
    np.testing.assert_array_equal(made.images, clip(0, index, length, (200, 150)).images)


def test_consecutive_frames_of_clips_overlap():
    steps = [
        overlap(c.boxes[1:], c.boxes[:-1]).mean() for c in (clip(0, i, 6, (240, 180)) for i in range(10))
    ]
    assert np.mean(steps) > 0.7


def test_a_clip_needs_three_frames():
    with pytest.raises(ValueError, match="length = 2"):
        clip(0, 0, 2)


@pytest.mark.parametrize("size", [20.0, 60.0, 150.0])
def test_the_box_is_the_silhouettes_extent(size):
    outline = ellipse(0, 0, 0.5, 0.3)
    part = limb(np.full((CANVAS, CANVAS, 3), 90, np.uint8), silhouette([outline]))
    centre = np.array([[70.3, 50.6], [70.3, 50.6]])
    poses = drawn_poses(np.random.default_rng(3), 2, centre, size, 0.0)
    box = tight_box(draw_limbs(Thing("disc", (part,)).limbs, poses, 1))
    corners = outline @ poses.matrix(1)[:, :2].T + poses.matrix(1)[:, 2]
    bent = 0.0 if poses.bend is None else np.abs(poses.bend[1]).max() * size
    np.testing.assert_allclose(box[:2], corners.min(axis=0), atol=0.5 + size / 100 + bent)
    np.testing.assert_allclose(box[:2] + box[2:], corners.max(axis=0), atol=0.5 + size / 100 + bent)


# Scores


def test_scores_count_frames_with_a_target(tmp_path):
    class Still:
        def start(self, image, box, task):
            self.box = box
            return box

        def track(self, image):
            return self.box

    write_images(tmp_path, range(4))
    truth = np.float32([[0, 0, 40, 40], [20, 0, 40, 40], [0, 0, 40, 40], [21, 0, 40, 40]])
    absent = np.array([False, False, True, False])
    found = score(Still(), Video("v", sorted(tmp_path.iterdir()), truth, absent))
    iou = np.array([1, 20 / 60, 19 / 61])
    assert found.overlap == pytest.approx(iou[1:].mean())
    assert found.precision == pytest.approx(2 / 3)  # 20 pixels off still counts
    assert found.success == pytest.approx((iou[:, None] > np.linspace(0, 1, 21)).mean())


# The loss


def test_deltas_lead_from_every_anchor_to_the_box():
    boxes = torch.tensor([[60.0, 70.0, 80.0, 50.0], [100.0, 90.0, 40.0, 90.0]])
    made = targets(boxes, SEARCH, SIDE, torch.tensor([False, False]), torch.Generator().manual_seed(0))
    grid = anchors(SIDE, torch.device("cpu"))
    centre = made.deltas[:, :2] * grid[2:] + grid[:2] + SEARCH / 2
    size = made.deltas[:, 2:].exp() * grid[2:]
    np.testing.assert_allclose(
        torch.cat([centre - size / 2, size], 1), boxes[:, :, None].expand(2, 4, grid.shape[1]), atol=1e-3
    )


def test_positives_overlap_and_negatives_do_not():
    boxes = torch.tensor([[80.0, 80.0, 64.0, 64.0], [80.0, 80.0, 64.0, 64.0], [90.0, 30.0, 20.0, 160.0]])
    strange = torch.tensor([False, True, False])
    made = targets(boxes, SEARCH, SIDE, strange, torch.Generator().manual_seed(0))
    centred = torch.cat([boxes[:, :2] + boxes[:, 2:] / 2 - SEARCH / 2, boxes[:, 2:]], 1)
    iou = overlaps(centred, anchors(SIDE, torch.device("cpu")))
    assert (iou[0][made.positive[0]] >= min(0.6, 0.8 * float(iou[0].max()))).all()
    assert (iou[0][made.matched[0]] > 0.45).all() and made.matched[0][iou[0] > 0.45].all()
    assert 1 <= made.positive[0].sum() <= 16 and made.positive[0].sum() <= made.matched[0].sum()
    assert (made.matched | ~made.positive).all()
    assert (iou[0][made.negative[0]] < 0.4).all() and made.negative[0].sum() == 48
    # Of a stranger, nothing is positive, and what looks like its target is negative.
    assert not made.positive[1].any() and not made.matched[1].any() and made.negative[1].any()
    assert (iou[1][made.negative[1]] > 0.4).all()
    # No anchor is as slender: the best one stands for it.
    assert iou[2].max() < 0.6 and made.positive[2].any()
    assert not (made.positive & made.negative).any()


def test_at_most_sixteen_are_positive_and_no_best_anchor_is_negative():
    # 26 best anchors, all below the overlap of negatives; 32 good ones; a target that is like no anchor.
    boxes = torch.tensor([[100.0, 20.0, 16.0, 180.0], [66.5, 66.5, 90.0, 90.0], [110.0, 110.0, 3.0, 3.0]])
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        made = targets(boxes, SEARCH, SIDE, torch.zeros(3, dtype=torch.bool), generator)
        assert made.positive.sum(dim=1).tolist() == [16, 16, 0]
        assert made.matched[0].sum() == 26 and not made.matched[2].any()
        assert not (made.matched & made.negative)[0].any()


def test_a_perfect_answer_has_no_loss_and_a_wrong_one_has():
    boxes = torch.tensor([[80.0, 80.0, 64.0, 64.0]])
    made = targets(boxes, SEARCH, SIDE, torch.tensor([False]), torch.Generator().manual_seed(0))
    confident = torch.where(~made.negative[0], 20.0, -20.0)
    classes = torch.stack([-confident, confident])[None].reshape(1, 10, SIDE, SIDE)
    right = loss(classes, made.deltas.reshape(1, 20, SIDE, SIDE), made)
    wrong = loss(-classes, made.deltas.reshape(1, 20, SIDE, SIDE) + 1, made)
    assert float(right[0]) < 1e-6 and float(right[1]) < 1e-6
    assert float(wrong[0]) > 10 and float(wrong[1]) > 1


def test_the_loss_falls_within_a_few_steps():
    pairs = Pairs(0, 0, 6)
    batch = [torch.stack(parts) for parts in zip(*(pairs[i] for i in range(6)), strict=True)]
    learner = Learner(0, "cpu", 1e-3, "float32")
    before, *_, after = [learner.step(*batch, 0.1) for _ in range(12)]
    assert after[0] < 0.8 * before[0] and after[1] < 0.8 * before[1]


def test_starting_filters_answer_to_edges_and_not_to_light():
    filters = gabor_filters(32, 11, 0)
    flat = torch.nn.functional.conv2d(torch.full((1, 3, 11, 11), 200.0), filters).flatten()
    edge = torch.zeros(1, 3, 11, 11)
    edge[..., 5:] = 200
    answers = torch.nn.functional.conv2d(edge, filters).flatten()
    assert (flat.abs() < 1e-2).sum() > 16
    assert (answers.abs() > 0.5).sum() > 8


def test_the_learning_rate_rises_then_falls():
    rates = [schedule(d) for d in (0.0, 0.015, 0.03, 0.5, 1.0, 1.2)]
    assert 0.02 == rates[0] < rates[1] < rates[2] == 1.0 > rates[3] > rates[4] == rates[5] > 0


def test_the_losses_are_means_of_their_own():
    """Without an opinion, ln 2; with every number of every box off by 1, four times smooth L1 of 1."""
    boxes = torch.tensor([[80.0, 80.0, 64.0, 64.0], [20.0, 60.0, 90.0, 40.0]])
    made = targets(boxes, SEARCH, SIDE, torch.tensor([False, False]), torch.Generator().manual_seed(0))
    off = made.deltas.reshape(2, 20, SIDE, SIDE) + 1
    classes, shifts = loss(torch.zeros(2, 10, SIDE, SIDE), off, made)
    assert float(classes) == pytest.approx(np.log(2))
    assert float(shifts) == pytest.approx(4 * (1 - 0.05 / 2), rel=1e-4)


def test_overlaps_of_boxes_with_anchors():
    grid = torch.tensor([[0.0, 10.0, 100.0], [0.0, 0.0, 0.0], [20.0, 20.0, 20.0], [20.0, 20.0, 20.0]])
    found = overlaps(torch.tensor([[0.0, 0.0, 20.0, 20.0]]), grid)
    torch.testing.assert_close(found, torch.tensor([[1.0, 1 / 3, 0.0]]))


@pytest.fixture(scope="module")
def batch():
    pairs = Pairs(0, 0, 3)
    return [torch.stack(parts) for parts in zip(*(pairs[i] for i in range(3)), strict=True)]


def test_settled_statistics_are_those_of_their_batches_and_stay(batch):
    learner, other, restored = (Learner(0, "cpu", 1e-3, "float32") for _ in range(3))

    def statistics(of: Learner):
        return torch.cat([norm.running_mean for norm in of._norms()]).clone()

    for norm in other._norms():
        norm.running_mean.fill_(50)
        norm.num_batches_tracked.fill_(7)
    for each in (learner, other):
        each.settle([batch[:2]])
    settled = statistics(learner)
    assert settled.abs().max() > 0
    torch.testing.assert_close(statistics(other), settled)
    restored.restore(learner.state())
    restored.step(*batch, 0.6)
    assert torch.equal(statistics(restored), settled)


def test_a_strangers_exemplar_is_another_pairs(batch, monkeypatch):
    monkeypatch.setattr(siamrpn_learner, "STRANGE", 1.0)
    learner, generator = Learner(0, "cpu", 1e-3, "float32"), torch.Generator().manual_seed(0)
    torch.rand(3, generator=generator)
    z, x = (part.permute(0, 3, 1, 2).float() for part in batch[:2])
    wanted = targets(batch[2], SEARCH, SIDE, torch.ones(3, dtype=torch.bool), generator)
    with torch.no_grad():
        answer = learner.network(x, learner.network.template(z.roll(1, dims=0)))
        expected = float(loss(*answer, wanted)[0])
    assert learner.step(*batch, 0.1)[0] == pytest.approx(expected, rel=1e-4)


def test_only_kernels_decay():
    for group in Learner(0, "cpu", 1e-3, "float32").optimiser.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_the_losses_told_are_means_of_those_so_far():
    progress = Progress()
    for classes, boxes in ((3.0, 5.0), (1.0, 1.0), (2.0, 0.0)):
        progress.learned((classes, boxes), 7.0)
    assert progress.losses == pytest.approx((2, 2))
    assert (progress.step, progress.seconds) == (3, 7.0)


def test_variances_beyond_float16_are_written_as_they_are(tmp_path):
    learner = Learner(0, "cpu", 1e-3, "float32")
    for norm in learner._norms():
        norm.running_var.fill_(1e6)
    Train(tmp_path / "w.safetensors")._write(learner, Progress())
    state = safetensors.torch.load_file(tmp_path / "w.safetensors")
    assert {float(v.max()) for k, v in state.items() if "running_var" in k} == {1e6}
    assert {v.dtype for v in state.values() if v.ndim > 1} == {torch.float16}


# Training by command


def test_training_writes_weights_goes_on_and_its_weights_track(tmp_path):
    out = tmp_path / "slim.safetensors"
    arguments = ["--out", str(out), "--batch", "2", "--workers", "0", "--seed", "0"]
    assert run_only_command(Train, "train", [*arguments, "--steps", "1"]) == 0
    first = json.loads(out.with_suffix(".json").read_text())
    assert run_only_command(Train, "train", [*arguments, "--steps", "3", "--resume"]) == 0
    record = json.loads(out.with_suffix(".json").read_text())
    assert (first["steps"], record["steps"], record["pairs"]) == (1, 3, 6)
    assert record["seed"] == 0 and "not the published SiamRPN" in record["what"]
    assert record["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert out.stat().st_mode == out.with_suffix(".json").stat().st_mode  # others may read both
    made = clip(0, 1, 3)
    teacher = SiamRpn(weights=out, variant="slim", threads=1)
    teacher.start(made.images[0], made.boxes[0], Task("clip", 3))
    assert is_valid(teacher.track(made.images[1]))


def test_a_dataset_to_score_that_is_not_there_is_said_before_training(tmp_path, capsys):
    arguments = [
        "--out",
        str(tmp_path / "slim.safetensors"),
        "--batch",
        "2",
        "--workers",
        "0",
        "--steps",
        "1",
    ]
    assert run_only_command(Train, "train", [*arguments, "--score", f"otb:{tmp_path}/nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_training_draws_the_pairs_that_were_not_drawn_yet(tmp_path, monkeypatch):
    seen = []
    draw = Pairs.__getitem__

    def drawn(pairs, index):
        seen.append(pairs.first + index)
        return draw(pairs, index)

    monkeypatch.setattr(Pairs, "__getitem__", drawn)
    monkeypatch.setattr("teachers.training.siamrpn.SETTLING", 2)
    arguments = ["--out", str(tmp_path / "slim.safetensors"), "--batch", "2", "--workers", "0"]
    # A step, the two batches that settle the normalisations, and the other step.
    assert run_only_command(Train, "train", [*arguments, "--steps", "2"]) == 0
    assert run_only_command(Train, "train", [*arguments, "--steps", "3", "--resume"]) == 0
    assert seen == list(range(10))


def test_a_training_goes_on_with_its_own_options_only(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "slim.safetensors"), "--batch", "2", "--workers", "0", "--resume"]
    torch.save({"options": {"seed": 0, "batch": 2, "rate": 1e-3}}, tmp_path / "slim.checkpoint.pt")
    assert run_only_command(Train, "train", [*arguments, "--seed", "1", "--rate", "1e-2"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "slim.checkpoint.pt" in said and "seed 0 instead of 1, rate 0.001 instead of 0.01" in said
    assert "precision None instead of bfloat16" in said and "leave out --resume" in said
    torch.save({"options": {}, "numbers": torch.zeros(100_000)}, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for content in (b"PK cut off", b"", whole[:5_000], whole[:50_000], whole[:-10]):
        (tmp_path / "slim.checkpoint.pt").write_bytes(content)
        assert run_only_command(Train, "train", arguments) == 2
        assert "cannot be read" in " ".join(capsys.readouterr().err.split())
    torch.save({"step": 3}, tmp_path / "slim.checkpoint.pt")
    assert run_only_command(Train, "train", arguments) == 2
    assert "no checkpoint of this version" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "weights.pth"], "ends in .safetensors"),
        (["--out", "w.safetensors", "--minutes", "0"], "positive number"),
        (["--out", "nowhere/w.safetensors", "--resume"], "there is no checkpoint"),
    ],
)
def test_a_users_error_is_one_message(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_only_command(Train, "train", arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


# The weights that the project ships


def test_the_shipped_weights_are_those_of_their_record():
    record = json.loads(SLIM_WEIGHTS.with_suffix(".json").read_text())
    assert hashlib.sha256(SLIM_WEIGHTS.read_bytes()).hexdigest() == record["sha256"]
    assert "not the published SiamRPN" in record["what"]
    assert SLIM_WEIGHTS.stat().st_size < 6e6


def test_without_options_the_slim_network_tracks_and_beats_a_box_that_stays():
    teacher = registry.create("siamrpn", {"threads": 1})
    ours, still = [], []
    for index in range(12):
        made = clip(0, 500 + index, 14)
        teacher.start(made.images[0], made.boxes[0], Task(str(index), 14))
        boxes = np.stack([teacher.track(image) for image in made.images[1:]])
        ours.append(overlap(boxes, made.boxes[1:]).mean())
        still.append(overlap(made.boxes[0], made.boxes[1:]).mean())
    assert np.mean(ours) > np.mean(still) + 0.1
    assert np.mean(ours) > 0.6


def test_a_published_variant_needs_its_weights():
    with pytest.raises(TeacherConfigError, match="fetch siamrpn_r50_l234_dwxcorr"):
        SiamRpn(variant="siamrpn_r50_l234_dwxcorr")


def test_the_listing_says_what_the_default_is():
    (line,) = listing.describe(["siamrpn"])
    assert line.state == "ready" and "procedural video" in line.what


def test_the_slim_network_follows_a_real_clip(real_data: Path):
    from datasets.spec import open_dataset
    from teachers.training.scoring import score

    video = open_dataset(f"got10k:{real_data / 'got10k_layout'}:train")["Walking2_02"]
    assert score(registry.create("siamrpn", {"threads": 1}), video).overlap > 0.5
