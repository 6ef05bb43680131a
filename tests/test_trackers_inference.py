"""The student as a tracker uses it: many videos at once, odd boxes and weights, a packed network."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tracker_samples import BOX, FRAMES, HEIGHT, WIDTH, Scripted, run, script, video

from datasets.errors import DataError
from teachers import registry
from teachers.base import BatchTeacher, Task, TeacherError
from teachers.options import TeacherConfigError
from trainer.crops import crop_batch
from trainer.cutouts import crop_uploaded
from trainer.mdp import clip_box, seen_box, transition
from trainer.student import LSTMState, Student, StudentOptions, save_student
from trainer.trackers import Inference, TrasBatch, TrasfustTracker, TrasTracker, TrastTracker
from trainer.trackers import inference as inference_module
from trainer.trackers.inference import View
from trainer.trackers.packed import pack

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("together", [1, 3, 4])
def test_a_batch_does_not_mix_videos(inference, together, monkeypatch):
    batch = TrasBatch(inference, 4, together)
    assert isinstance(batch, BatchTeacher)
    sizes, see = [], inference._student.see
    videos = {slot: video(slot, 40) for slot in range(4)}
    alone = {}
    for slot, images in videos.items():
        batch.start(2, images[0], BOX, Task("v", 40))
        alone[slot] = np.stack([batch.step({2: image})[2] for image in images[1:]])
        batch.release(2)
        single = run(TrasTracker(inference), images)[1:]
        np.testing.assert_allclose(alone[slot], single, atol=1e-3)
    monkeypatch.setattr(inference._student, "see", lambda p, c: sizes.append(len(p)) or see(p, c))
    found = {slot: [] for slot in videos}
    for t in range(40 + 3):  # each begins a frame later than the last, and leaves when it ends
        for slot in videos:
            if t == slot:
                batch.start(slot, videos[slot][0], BOX, Task("v", 40))
        busy = {s: videos[s][t - s] for s in videos if 0 < t - s < 40}
        for slot, box in batch.step(busy).items():
            found[slot].append(box)
    for slot, boxes in found.items():
        np.testing.assert_array_equal(np.stack(boxes), alone[slot])
    assert set(sizes) == {together}  # whatever the number of videos: the last bits may depend on it
    with pytest.raises(ValueError, match="there is no slot 4"):
        batch.start(4, videos[0][0], BOX, Task("v", 40))
    with pytest.raises(ValueError, match="slots = 0"):
        TrasBatch(inference, 0)


def test_a_batch_is_filled_up_to_its_slots_and_no_further(inference, monkeypatch):
    sizes, see = [], inference._student.see
    monkeypatch.setattr(inference._student, "see", lambda p, c: sizes.append(len(p)) or see(p, c))
    batch, images = TrasBatch(inference, 2), video(frames=2)
    batch.start(1, images[0], BOX, Task("v", 2))
    batch.step({1: images[1]})
    assert sizes == [2]


def test_equal_views_are_looked_at_once_and_answered_alike(student, inference, monkeypatch):
    images = video(frames=3)
    looks = []
    see = inference._student.see
    monkeypatch.setattr(inference._student, "see", lambda p, c: looks.append(len(p)) or see(p, c))
    same = [View(images[0], images[1], BOX.copy()) for _ in range(3)]
    others = View(images[0], images[2], BOX), View(images[2], images[1], BOX)
    answers = inference.answer([same[0], *others, *same[1:]], [inference.begin() for _ in range(5)])
    assert looks == [3]
    assert answers[0].value == answers[3].value == answers[4].value
    assert len({answer.value for answer in answers}) == 3
    np.testing.assert_array_equal(answers[0].box, answers[3].box)


def test_frames_of_other_sizes_are_cropped_elsewhere_as_on_the_cpu(inference, monkeypatch):
    """On a GPU all crops are made at once; the same code runs here, and what it is told must be each frame's own."""
    before = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    now = cv2.resize(before, (2 * WIDTH, 2 * HEIGHT))
    monkeypatch.setattr(inference, "_context", 2.5)
    leaving = np.float32([WIDTH - 8, HEIGHT - 10, 16, 20])
    views = [View(before, now, BOX), View(now, before, leaving), View(before, before, leaving)]
    expected = inference._crops(views, 0)
    monkeypatch.setattr(inference, "_device", SimpleNamespace(type="elsewhere"))
    here = torch.device("cpu")
    monkeypatch.setattr(inference_module, "crop_uploaded", lambda *a, **k: crop_uploaded(*a[:6], here, **k))
    for found, crops in zip(inference._crops(views, 0), expected, strict=True):
        assert (found - crops).abs().max() < 0.02  # a grey level of 255, in the colours' deviations


def test_a_box_larger_than_the_image_is_seen_as_large_as_that(inference):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    boxes = np.float32([[-20, -10, WIDTH + 40, HEIGHT + 20], [0, 0, WIDTH, HEIGHT]])
    for larger, whole in inference._crops([View(image, image, box) for box in boxes], 0):
        assert torch.equal(larger, whole)


def test_a_student_tracks_with_the_context_and_the_smallest_box_that_it_learned_with(tmp_path):
    student = Student(StudentOptions("tiny", 8, 32, context=3.0, smallest_box=7.0)).eval()
    torch.nn.init.normal_(student.actor.weight, std=1.0)
    save_student(tmp_path / "w.safetensors", student)
    own = Inference.load(tmp_path / "w.safetensors")
    images = video(frames=12)
    boxes = run(TrasTracker(own), images)
    box, state = torch.from_numpy(BOX), student.initial_state(1)
    place, size = torch.tensor([[0.0, 0.0, WIDTH, HEIGHT]]), torch.tensor([[float(WIDTH), float(HEIGHT)]])
    for t in range(1, len(images)):
        around = seen_box(box[None], size[:, 0], size[:, 1])
        pair = [torch.from_numpy(np.ascontiguousarray(images[i][..., ::-1])) for i in (t - 1, t)]
        crops = [crop_batch([image], place, size, around, 32, context=3.0) for image in pair]
        action, _, state = student(*crops, state)
        box = clip_box(transition(action[0].detach().clamp(-1, 1), box), WIDTH, HEIGHT, smallest=7.0)
        np.testing.assert_allclose(boxes[t], box, rtol=1e-3, atol=1e-2)
    assert boxes[:, 2:].min() == 7.0  # as small as it may be, and no smaller
    assert own.clipped(np.float32([3, 4, 2, 9]), images[0]).tolist() == [3, 4, 7, 9]


def test_a_box_that_vanishes_or_leaves_is_still_tracked(inference):
    for wild in (np.float32([-500, 900, 1e-4, 5e5]), np.float32([WIDTH, HEIGHT, 1, 1])):
        boxes = np.tile(wild, (FRAMES, 1))
        tracker = TrasfustTracker(inference, {"a": Scripted(boxes), "b": Scripted(script(1))})
        found = run(tracker, video(frames=5))
        assert (found[:, 2:] >= 1).all() and (found[:, :2] >= 0).all()
        assert (found <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()


def test_what_no_tracker_can_start_from(inference):
    tracker = TrasTracker(inference)
    for box in ([10, 10, 0, 5], [math.nan, 1, 2, 3], [WIDTH + 5, 0, 5, 5]):
        with pytest.raises(TeacherError, match="video v: the first box"):
            tracker.start(video(frames=1)[0], np.float32(box), Task("v", 3))
    with pytest.raises(TeacherError, match="needs the images"):
        tracker.start(None, BOX, Task("v", 3))


def test_a_failed_start_leaves_no_target_behind(inference):
    images = video(frames=2)
    teachers = {"a": Scripted(script(1)), "b": Scripted(script(2))}
    for tracker in (
        TrasTracker(inference),
        TrastTracker(inference, "a", teachers["a"]),
        TrasfustTracker(inference, teachers),
    ):
        run(tracker, images)
        with pytest.raises(TeacherError, match="the first box"):
            tracker.start(images[0], np.float32([WIDTH + 5, 0, 5, 5]), Task("v", 2))
        with pytest.raises(TeacherError, match="a video that was started"):
            tracker.track(images[1])


def test_a_student_of_broken_numbers_fails_the_video(student):
    torch.manual_seed(0)
    broken = Student(student.options).eval()
    with torch.no_grad():
        broken.actor.bias[:] = math.nan
    with pytest.raises(TeacherError, match="not finite"):
        run(TrasTracker(Inference(broken)), video(frames=3))


@pytest.mark.parametrize("backbone", ["tiny", "small", "matching", "resnet18"])
@pytest.mark.parametrize("onednn", [True, False])
def test_packing_changes_rounding_only(backbone, onednn, monkeypatch):
    for module in ("teachers.inference.products", "trainer.trackers.packed"):
        if not onednn:
            monkeypatch.setattr(f"{module}.has_onednn", lambda: False)
    torch.manual_seed(1)
    plain = Student(StudentOptions(backbone=backbone, width=64, crop_size=64)).eval()
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    torch.manual_seed(1)
    fast = Student(plain.options)
    fast.load_state_dict(plain.state_dict())
    pack(fast)
    previous, current = torch.randn(2, 3, 3, 64, 64)
    state = LSTMState(*(0.5 * torch.randn(2, 3, 64)))
    with torch.inference_mode():
        for a, b in zip(plain(previous, current, state)[:2], fast(previous, current, state)[:2], strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_weights_of_another_network(tmp_path):
    save_file({"backbone.conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("other.safetensors", "other.pth"):
        with pytest.raises(DataError, match=name):
            registry.create("tras", {"weights": str(tmp_path / name)})
    with pytest.raises(TeacherConfigError, match="nowhere"):
        registry.create("tras", {"weights": str(tmp_path / "nowhere")})
