"""TRAS, TRAST and TRASFUST against a plain loop over the paper's equations; failing teachers; the command."""

import copy
import itertools
import json
import math
import shutil
import threading
import time

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datasets.errors import DataError
from datasets.images import read_image
from datasets.results import write_results
from datasets.spec import open_dataset
from teachers import registry
from teachers.adapted import Adapted
from teachers.base import BatchTeacher, MissingResultError, Task, Teacher, TeacherError
from teachers.options import TeacherConfigError
from trainer import pool
from trainer.beside import Beside
from trainer.crops import crop_batch
from trainer.student import LSTMState, Student, StudentOptions, save_student
from trainer.track import Track
from trainer.trackers import Inference, TrasBatch, TrasfustTracker, TrasTracker, TrastTracker
from trainer.trackers.inference import View, region
from trainer.trackers.packed import pack

FRAMES, WIDTH, HEIGHT = 70, 96, 72
BOX = np.array([30.5, 20.25, 22.0, 18.0], np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(2)
    made = Student(StudentOptions(backbone="tiny", width=48, crop_size=64)).eval()
    with torch.no_grad():  # an untrained student hardly moves
        made.actor.weight *= 40
        made.actor.bias.zero_()
        made.critic.weight *= 20
    return made


@pytest.fixture(scope="module")
def inference(student):
    return Inference(student)


@pytest.fixture
def weights(student, tmp_path):
    save_student(tmp_path / "student.safetensors", student)
    return tmp_path / "student.safetensors"


def video(seed=0, frames=FRAMES):
    """A textured scene that drifts."""
    rng = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT + 40, WIDTH + 40, 3), np.uint8), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    walk = 20 + 15 * np.sin(np.arange(frames)[:, None] * [0.11, 0.17])
    return [np.ascontiguousarray(scene[int(y) :, int(x) :][:HEIGHT, :WIDTH]) for x, y in walk]


class Scripted:
    """A teacher whose boxes are known; it may be slow, and fail or answer nonsense at a frame."""

    version = 1

    def __init__(self, boxes, fails=None, nonsense=None, seconds=0.0, needs_images=True):
        self.boxes, self.fails, self.nonsense, self.seconds = boxes, fails, nonsense, seconds
        self.needs_images = needs_images

    def _answer(self, image):
        assert (image is not None) == self.needs_images
        time.sleep(self.seconds)
        if self.t == self.fails:
            raise TeacherError("lost")
        box = self.boxes[self.t].copy()
        return box * np.nan if self.t == self.nonsense else box

    def start(self, image, box, task):
        self.t = 0
        self._answer(image)
        return box

    def track(self, image):
        self.t += 1
        return self._answer(image)


def script(seed, reach=1.0):
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, reach, (FRAMES, 4)) * [1, 1, 0.3, 0.3]
    boxes = BOX + np.cumsum(steps, axis=0)
    boxes[:, 2:] = np.clip(boxes[:, 2:], 6, 40)
    boxes[0] = BOX
    return boxes.astype(np.float32)


def run(tracker, images, name="v"):
    boxes = [tracker.start(images[0], BOX, Task(name, len(images)))]
    boxes += [tracker.track(image) for image in images[1:]]
    return np.stack(boxes)


# The plain loop, from the paper's equations and the authors' conventions, one state at a time.


def rho(before, now, box):
    x, y, w, h = (float(v) for v in box)
    w, h = min(w, WIDTH), min(h, HEIGHT)
    cx, cy = np.clip(x + float(box[2]) / 2, 0, WIDTH), np.clip(y + float(box[3]) / 2, 0, HEIGHT)
    around = torch.tensor([[cx - w / 2, cy - h / 2, w, h]], dtype=torch.float32)
    whole, size = torch.tensor([[0, 0, WIDTH, HEIGHT]]), torch.tensor([[WIDTH, HEIGHT]])
    rgb = [torch.from_numpy(np.ascontiguousarray(image[..., ::-1])) for image in (before, now)]
    return [crop_batch([image], whole, size, around, 64, 1.5) for image in rgb]


def psi(action, box):
    dx, dy, dw, dh = np.clip(action, -1, 1)
    x, y, w, h = box
    return clip([x + dx * w, y + dy * h, w + dw * w, h + dh * h])


def clip(box):
    x, y, w, h = box
    return np.array(
        [np.clip(x, 0, WIDTH), np.clip(y, 0, HEIGHT), np.clip(w, 1, WIDTH), np.clip(h, 1, HEIGHT)], np.float32
    )


class PlainState:
    """The LSTM of one stream: the state after update 1 is restored before updates 32, 64, ..."""

    def __init__(self, student):
        self.student, self.state, self.update = student, student.initial_state(1), 0

    def __call__(self, before, now, box):
        self.update += 1
        if self.update in (32, 64):
            self.state = self.first
        with torch.no_grad():
            action, value, self.state = self.student(*rho(before, now, box), self.state)
        if self.update == 1:
            self.first = self.state
        return action[0].numpy(), float(value)


def plain_tras(student, images):
    box, look, boxes, values = BOX, PlainState(student), [BOX], []
    for before, now in itertools.pairwise(images):
        action, value = look(before, now, box)
        box = psi(action, box)
        boxes.append(box)
        values.append(value)
    return np.stack(boxes), values


def plain_trast(student, images, teacher):
    box, boxes, chosen = BOX, [BOX], ["given"]
    own, other = PlainState(student), PlainState(student)
    for t in range(1, len(images)):
        before, now = images[t - 1], images[t]
        action, value = own(before, now, box)
        _, teacher_value = other(before, now, teacher[t - 1])
        box = psi(action, box) if value >= teacher_value else clip(teacher[t])
        boxes.append(box)
        chosen.append("student" if value >= teacher_value else "t")
    return np.stack(boxes), chosen


def plain_trasfust(student, images, teachers):
    looks, boxes, chosen = {n: PlainState(student) for n in teachers}, [BOX], ["given"]
    for t in range(1, len(images)):
        values = {n: looks[n](images[t - 1], images[t], teachers[n][t - 1])[1] for n in teachers}
        best = max(values, key=values.get)
        boxes.append(clip(teachers[best][t]))
        chosen.append(best)
    return np.stack(boxes), chosen


def test_tras_is_the_plain_loop(student, inference):
    images = video()
    tracker = TrasTracker(inference)
    boxes, values = plain_tras(student, images)
    np.testing.assert_allclose(run(tracker, images), boxes, atol=1e-3)
    np.testing.assert_allclose([v["student"] for v in tracker.values[1:]], values, atol=1e-3)
    assert np.ptp(boxes[:, 0]) > 3 and np.ptp(boxes[:, 2]) > 1  # it does move
    assert tracker.chosen == ["given"] + ["student"] * (FRAMES - 1)


def test_trast_is_the_plain_loop(student, inference):
    images, teacher = video(), script(1)
    tracker = TrastTracker(inference, "t", Scripted(teacher))
    boxes, chosen = plain_trast(student, images, teacher)
    np.testing.assert_allclose(run(tracker, images), boxes, atol=1e-3)
    assert tracker.chosen == chosen
    assert {"student", "t"} <= set(chosen)  # both happen
    assert chosen[1] == "student"  # equal states, equal values: not the teacher's


def test_trasfust_is_the_plain_loop(student, inference):
    images, teachers = video(), {name: script(seed) for seed, name in enumerate("abc", 5)}
    tracker = TrasfustTracker(inference, {n: Scripted(b) for n, b in teachers.items()})
    boxes, chosen = plain_trasfust(student, images, teachers)
    np.testing.assert_array_equal(run(tracker, images), boxes)  # the teachers' own, clipped
    assert tracker.chosen == chosen
    assert len(set(chosen)) == 4 and chosen[1] == "a"
    assert all(set(v) == set("abc") for v in tracker.values[1:])


def test_beyond_the_image_and_beyond_an_action_of_one(student):
    """A student that jumps and a teacher that strays: actions are clamped, crops stay at the image, values agree."""
    bold = copy.deepcopy(student)
    with torch.no_grad():
        bold.actor.weight *= 200
    images = video(frames=12)
    boxes, values = plain_tras(bold, images)
    tracker = TrasTracker(Inference(bold))
    np.testing.assert_allclose(run(tracker, images), boxes, atol=1e-3)
    np.testing.assert_allclose([v["student"] for v in tracker.values[1:]], values, atol=1e-3)
    with torch.no_grad():
        first = bold(*rho(images[0], images[1], BOX), bold.initial_state(1)).action
    assert first.abs().max() > 1

    stray = script(1) + np.linspace(0, 200, FRAMES)[:, None].astype(np.float32) * [1, -1, 1, 0]
    stray = stray.astype(np.float32)
    look, tracker = PlainState(student), TrasfustTracker(Inference(student), {"a": Scripted(stray)})
    images = video()
    run(tracker, images)
    expected = [look(images[t - 1], images[t], stray[t - 1])[1] for t in range(1, FRAMES)]
    np.testing.assert_allclose([v["a"] for v in tracker.values[1:]], expected, atol=1e-3)
    tracker = TrastTracker(Inference(student), "a", Scripted(stray))
    run(tracker, images)
    np.testing.assert_allclose([v["a"] for v in tracker.values[1:]], expected, atol=1e-3)


def test_the_lstm_returns_to_its_first_state_before_update_32(student):
    images = video()
    returning, going_on = (run(TrasTracker(Inference(student, period=p)), images) for p in (32, 0))
    np.testing.assert_array_equal(returning[:32], going_on[:32])
    assert not np.array_equal(returning[32], going_on[32])
    with pytest.raises(TeacherConfigError, match="period = -1"):
        Inference(student, period=-1)


def test_the_student_is_corrected_by_the_teachers_box_and_the_teacher_is_not(student, inference):
    seen = []

    class Watching(Scripted):
        def track(self, image):
            seen.append(self.t)
            return super().track(image)

    tracker = TrastTracker(inference, "t", Watching(script(1, reach=4.0)))
    images = video()
    boxes = run(tracker, images)
    t = tracker.chosen.index("t")
    np.testing.assert_array_equal(boxes[t], clip(script(1, reach=4.0)[t]))
    assert not np.array_equal(tracker.choices[t].boxes["student"], boxes[t])
    assert seen == list(range(FRAMES - 1))


@pytest.mark.parametrize("kind", ["tras", "trast", "trasfust"])
def test_boxes_depend_on_nothing_but_the_video(inference, kind):
    def made(seconds=0.0):
        a, b = (Scripted(script(s), seconds=seconds * (s == 1)) for s in (1, 2))
        if kind == "tras":
            return TrasTracker(inference)
        return (
            TrastTracker(inference, "a", a)
            if kind == "trast"
            else TrasfustTracker(inference, {"a": a, "b": b})
        )

    images, tracker = video(), made()
    first = run(tracker, images)
    run(tracker, video(seed=9), "another")
    again = run(tracker, images)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:12], run(made(seconds=0.01), images[:12]))


def test_student_and_teachers_run_at_the_same_time(inference):
    """Each waits for all others to be at work in the same frame: one after the other would never end."""
    gate = threading.Barrier(3, timeout=20)

    class Waiting(Scripted):
        def track(self, image):
            gate.wait()
            return super().track(image)

    class WaitingInference:
        begin = staticmethod(inference.begin)

        def answer(self, *arguments):
            gate.wait()
            return inference.answer(*arguments)

    tracker = TrasfustTracker(WaitingInference(), {n: Waiting(script(s)) for s, n in enumerate("ab")})
    images = video(frames=6)
    boxes = run(tracker, images)
    assert not tracker.failed
    np.testing.assert_array_equal(
        boxes, run(TrasfustTracker(inference, {n: Scripted(script(s)) for s, n in enumerate("ab")}), images)
    )


def test_trackers_of_others_take_turns_at_the_shared_generators():
    class Random:
        def init(self, image, box):
            pass

        def update(self, image):
            first = np.random.random()  # noqa: NPY002 - the shared generator is the point
            time.sleep(0.001)
            return [first, np.random.random(), 5, 5]  # noqa: NPY002

    def boxes(*names):
        beside = Beside({name: Adapted(Random()) for name in names})
        images = video(frames=10)
        beside.start(images[0], BOX, Task("v", 10))
        found = []
        for image in images[1:]:
            beside.go(image)
            found.append(beside.boxes()["a"])
        return np.stack(found)

    np.testing.assert_array_equal(boxes("a"), boxes("a", "b", "c"))


@pytest.mark.parametrize("how", [{"fails": 0}, {"fails": 20}, {"nonsense": 20}])
def test_trast_goes_on_without_a_failed_teacher(inference, how):
    images, good = video(), TrastTracker(inference, "t", Scripted(script(1)))
    tracker = TrastTracker(inference, "t", Scripted(script(1), **how))
    boxes, expected = run(tracker, images), run(good, images)
    failed = how.get("fails", how.get("nonsense"))
    assert set(tracker.chosen[max(failed, 1) :]) == {"student"}
    assert tracker.chosen[:failed] == good.chosen[:failed]
    np.testing.assert_array_equal(boxes[:failed], expected[:failed])
    assert list(tracker.failed) == ["t"] and not good.failed
    assert ("lost" if "fails" in how else "nan") in tracker.failed["t"]
    assert all("t" not in choice.values for choice in tracker.choices[max(failed, 1) :])
    if failed == 0:
        np.testing.assert_allclose(boxes, run(TrasTracker(inference), images), atol=1e-3)
    tracker._beside._teachers["t"].fails = None
    tracker._beside._teachers["t"].nonsense = None
    np.testing.assert_array_equal(run(tracker, images), expected)  # the next video has the teacher again


def test_trasfust_goes_on_with_those_that_are_left(inference):
    images = video()
    teachers = {
        "a": Scripted(script(1), fails=0),
        "b": Scripted(script(2), fails=9),
        "c": Scripted(script(3)),
    }
    tracker = TrasfustTracker(inference, teachers)
    boxes = run(tracker, images)
    assert "a" not in tracker.chosen and "b" in tracker.chosen[:9] and set(tracker.chosen[9:]) == {"c"}
    np.testing.assert_array_equal(boxes[9:], [clip(b) for b in script(3)[9:]])
    assert set(tracker.failed) == {"a", "b"}


def test_trasfust_fails_when_nobody_is_left(inference):
    tracker = TrasfustTracker(
        inference, {"a": Scripted(script(1), fails=0), "b": Scripted(script(2), fails=3)}
    )
    with pytest.raises(TeacherError, match=r"video v, frame 3: no teacher is left \(a: .*lost.*; b: .*lost"):
        run(tracker, video())
    with pytest.raises(TeacherError, match="video v, frame 0: no teacher is left"):
        run(TrasfustTracker(inference, {"a": Scripted(script(1), fails=0)}), video())


def test_recorded_teachers(inference, tmp_path, weights):
    for name, seed in (("A", 1), ("B", 2)):
        write_results(tmp_path / "results", name, "v", script(seed), base=0)
    images = video()
    recorded = pool.create([f"recorded:{tmp_path}/results/A", f"b=recorded:{tmp_path}/results/B"])
    assert list(recorded) == ["A", "b"]
    tracker = TrasfustTracker(inference, recorded)
    rounded = {name: Scripted(np.round(script(s), 3), needs_images=False) for name, s in (("A", 1), ("b", 2))}
    expected = TrasfustTracker(inference, rounded)
    np.testing.assert_allclose(run(tracker, images), run(expected, images), atol=1e-4)
    assert tracker.chosen == expected.chosen
    with pytest.raises(MissingResultError, match=r"70 rows.*60 frames|60.*70"):
        run(tracker, images[:60])
    one = TrastTracker(inference, "A", pool.create([f"recorded:{tmp_path}/results/A"])["A"])
    with pytest.raises(MissingResultError, match="no result for elsewhere"):
        run(one, images, "elsewhere")
    with pytest.raises(TeacherError, match="a video that was started"):
        one.track(images[0])


def test_a_teacher_of_the_registry_like_any_other(weights, tmp_path):
    write_results(tmp_path / "results", "A", "v", script(1), base=0)
    a = {"A": {"use": "recorded", "results": str(tmp_path / "results"), "tracker": "A"}}
    made = [
        registry.create("tras", {"weights": str(weights)}),
        registry.create("trast", {"weights": str(weights), "teacher": "mosse"}),
        registry.create("trast", {"weights": str(weights), "teacher": a}),
        registry.create("trasfust", {"weights": str(weights), "teachers": {**a, "mosse": {}}}),
        registry.create("trasfust", {"weights": str(weights), "teachers": ["mosse", "medianflow"]}),
    ]
    for teacher in made:
        assert isinstance(teacher, Teacher) and teacher.needs_images
        boxes = run(teacher, video(), "v")
        assert boxes.shape == (FRAMES, 4) and len(teacher.chosen) == FRAMES
        assert (boxes[:, 2:] >= 1).all() and (boxes[:, :2] >= 0).all()
    assert registry.version_of("tras") == 1
    wrong = {"trast": {"teacher": {}}, "trasfust": {"teachers": []}}
    for name, options in wrong.items():
        with pytest.raises(
            TeacherConfigError, match=r"TRAST has one teacher, not 0|TRASFUST has no teachers"
        ):
            registry.create(name, {"weights": str(weights), **options})
    with pytest.raises(TeacherConfigError, match="device = 'abacus'"):
        registry.create("tras", {"weights": str(weights), "device": "abacus"})


def test_the_version_of_the_boxes_is_also_that_of_the_teachers_beside(student, monkeypatch):
    def versions(teachers):
        name, teacher = next(iter(teachers.items()))
        found = TrastTracker(Inference(student), name, teacher), TrasfustTracker(Inference(student), teachers)
        return [tracker.version for tracker in found]

    before = versions({"A": Scripted(script(1))})
    assert before == versions({"A": Scripted(script(2))})
    monkeypatch.setattr(Scripted, "version", 2)
    assert not set(before) & set(versions({"A": Scripted(script(1))}))


def test_teachers_as_they_are_written():
    assert pool.named(["kcf", "fast=csrt,padding=2", "recorded:/r/GOT/ECO"], "otb") == {
        "kcf": {"use": "kcf"},
        "fast": {"use": "csrt", "padding": 2},
        "ECO": {"use": "recorded", "results": "/r/GOT", "tracker": "ECO", "kind": "otb"},
    }
    assert pool.named(["recorded:/r/ECO,kind=vot,base=1"], "otb")["ECO"]["kind"] == "vot"
    assert pool.named({"a": {"use": "kcf"}}) == {"a": {"use": "kcf"}}
    with pytest.raises(TeacherConfigError, match=r"two teachers are called kcf: write NAME=kcf"):
        pool.named(["kcf", "kcf"])
    with pytest.raises(TeacherConfigError, match="write recorded:RESULTS/TRACKER"):
        pool.named(["recorded:/"])
    with pytest.raises(TeacherConfigError, match="write key=value"):
        pool.named(["kcf,padding"])
    with pytest.raises(TeacherConfigError, match="no teacher 'kfc'; did you mean kcf"):
        pool.create(["kfc"])


def test_names_and_numbers_of_teachers(inference):
    with pytest.raises(ValueError, match="cannot be called 'student'"):
        TrasfustTracker(inference, {"student": Scripted([])})
    with pytest.raises(ValueError, match="cannot be called 'student'"):
        TrastTracker(inference, "student", Scripted(script(1)))
    with pytest.raises(ValueError, match="there is no teacher"):
        TrasfustTracker(inference, {})
    one = Scripted(script(1))
    with pytest.raises(ValueError, match="two names"):
        TrasfustTracker(inference, {"a": one, "b": one})


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


def test_equal_views_are_looked_at_once_and_answered_alike(student, inference, monkeypatch):
    images = video(frames=3)
    looks = []
    see = inference._student.see
    monkeypatch.setattr(inference._student, "see", lambda p, c: looks.append(len(p)) or see(p, c))
    same = [View(images[0], images[1], BOX.copy()) for _ in range(3)]
    other = View(images[0], images[2], BOX)
    answers = inference.answer([same[0], other, *same[1:]], [inference.begin() for _ in range(4)])
    assert looks == [2]
    assert answers[0].value == answers[2].value == answers[3].value != answers[1].value
    np.testing.assert_array_equal(answers[0].box, answers[2].box)


def test_what_crops_are_made_around():
    inside = np.float32([3, 4, 10, 12])
    assert region(inside, 50, 40) is inside
    np.testing.assert_allclose(region(np.float32([45, -30, 20, 10]), 50, 40), [40, -5, 20, 10])
    np.testing.assert_allclose(region(np.float32([-1e7, 0, 2e7, 10]), 50, 40), [-25, 0, 50, 10])


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
    for module in ("teachers.siamrpn.products", "trainer.trackers.packed"):
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


def track(*arguments):
    from datasets.command_line import run_only_command

    return run_only_command(Track, "python -m trainer.track", [str(a) for a in arguments])


def test_the_command_draws_a_video(small_videos, weights, tmp_path, capsys):
    dataset = open_dataset(f"got10k:{small_videos}")
    shown = dataset[dataset.names[0]]
    folder = shown.frames[0].parent
    out = tmp_path / "out.mp4"
    for kind, teachers in (("tras", []), ("trast", ["mosse"]), ("trasfust", ["mosse", "medianflow"])):
        given = ["--teachers", *teachers] if teachers else []
        arguments = ["--tracker", kind, "--weights", weights, "--video", folder, "--out", out, *given]
        assert track(*arguments, "--json") == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["frames"] == len(shown) and 0 <= figures["ao"] <= 1 and figures["fps"] > 0
        assert sum(figures["chosen"].values()) == len(shown) - 1
        assert set(figures["chosen"]) <= {"student", *teachers}
        read = cv2.VideoCapture(str(out))
        assert read.get(cv2.CAP_PROP_FRAME_COUNT) == len(shown)
        drawn = read.read()[1]
        assert drawn.shape[1] >= 480
        plain = cv2.resize(read_image(shown.frames[0]), drawn.shape[1::-1])
        assert np.abs(drawn.astype(int) - plain).max() > 100  # boxes and text are on it


def test_the_first_box_is_enough_for_a_look(small_videos, weights, tmp_path, capsys):
    folder = shutil.copytree(next((small_videos / "train").glob("Synthetic*")), tmp_path / "own")
    truth = folder / "groundtruth.txt"
    frames = len(truth.read_text().splitlines())
    truth.write_text(truth.read_text().splitlines()[0] + "\n")
    (folder / "absence.label").unlink()
    arguments = ["--tracker", "tras", "--weights", weights, "--video", folder, "--out", tmp_path / "o.mp4"]
    assert track(*arguments, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["frames"], figures["ao"]) == (frames, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--tracker": "trast"}, "trast has one teacher, not 0"),
        ({"--teachers": "kcf"}, "tras has none"),
        ({"--tracker": "trasfust"}, "TRASFUST has no teachers"),
        ({"--out": "out.avi"}, "ends in .mp4"),
        ({"--out": "films.mp4"}, "this is a folder"),
        ({"--fps": "0"}, "give a number from 0.1 to 1000"),
        ({"--weights": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"--video": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_on_the_command_line(small_videos, weights, tmp_path, monkeypatch, capsys, change, message):
    folder = next((small_videos / "train").iterdir())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.mp4").mkdir()
    options = {"--tracker": "tras", "--weights": weights, "--video": folder, "--out": tmp_path / "o.mp4"}
    assert track(*(part for pair in {**options, **change}.items() for part in pair)) == 2
    assert message in capsys.readouterr().err
    assert not [path for path in tmp_path.glob("*.mp4") if path.is_file()]
