"""Many videos at once: the same trajectories as one at a time, whatever goes wrong with one of them."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from odd_batch_teachers import Faulty, Hungry, Wandering, WanderingBatch

from datasets import open_dataset
from datasets.errors import DataError
from datasets.video import Video
from pipeline import places
from pipeline.follow import Job, WorkerError, follow
from pipeline.index import Index, make_index
from pipeline.lockstep import Lockstep, run_in_lockstep
from pipeline.params import ExecutorParams, TeacherParams, read_params
from pipeline.plan import Plan, planned
from pipeline.track import recipe, track
from pipeline.trajectories import Status, Trajectory
from teachers import registry
from teachers.base import TeacherError
from teachers.mdnet.budget import Budget
from teachers.mdnet.network import Network, Widths
from teachers.mdnet.tracker import MdnetBatch
from teachers.named_files import files_of
from teachers.options import TeacherConfigError
from teachers.siamrpn.engine import SiamRPNBatch, prepared
from teachers.siamrpn.variants import VARIANTS


@pytest.fixture(scope="module")
def videos(small_videos):
    dataset = open_dataset(f"got10k:{small_videos}:train")
    return [dataset[name] for name in dataset.names]


def cut(video, length):
    return Video(video.name, video.frames[:length], video.ground_truth[:length], video.absent[:length])


def together(lockstep, videos, stop_below=None):
    """Hand in all videos at once; each one's trajectory, or its exception."""

    def one(video):
        try:
            return lockstep.track(video, stop_below)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            return error

    with ThreadPoolExecutor(len(videos)) as pool:
        return list(pool.map(one, videos))


def assert_same(one, other):
    assert isinstance(one, Trajectory), one
    assert one.status == other.status
    assert one.boxes.tobytes() == other.boxes.tobytes()
    assert one.overlap.tobytes() == other.overlap.tobytes()


@pytest.mark.parametrize("slots", [1, 2, 3, 16])
@pytest.mark.parametrize("stop_below", [None, 0.5])
def test_trajectories_are_those_of_one_video_at_a_time(videos, slots, stop_below):
    wanted = [follow(Wandering(), video, stop_below) for video in videos]
    assert {w.status for w in wanted} == (
        {Status.COMPLETED} if stop_below is None else {*Status} - {Status.FAILED}
    )
    for order in (videos, videos[::-1]):
        found = together(Lockstep(WanderingBatch, slots, decoders=2), order, stop_below)
        for trajectory, one in zip(found if order is videos else found[::-1], wanted, strict=True):
            assert_same(trajectory, one)


def test_a_slot_is_filled_the_moment_it_is_free(videos):
    made = []

    class Patient(WanderingBatch):
        def start(self, slot, image, box, task):
            while len(lockstep._waiting) + len(self.started) < len(videos) - 1:  # until all are handed in
                time.sleep(0.001)
            return super().start(slot, image, box, task)

    lockstep = Lockstep(lambda slots: made.append(Patient(slots)) or made[-1], 2)
    together(lockstep, videos)
    (teacher,) = made
    assert sorted(teacher.started) == [video.name for video in videos]
    # A frame of each video is its first, and needs no step.
    assert sum(map(len, teacher.steps)) == sum(len(video) - 1 for video in videos)
    alone = [len(step) == 1 for step in teacher.steps]
    assert alone == sorted(alone)  # one slot is empty only when no video is left to fill it
    assert alone.count(True) < max(len(video) for video in videos)
    assert not teacher.teachers


def test_after_an_error_of_a_whole_step_each_of_its_videos_goes_alone_and_first(videos):
    """In the order in which they were started; the others follow together."""
    made = []

    class Blaming(WanderingBatch):
        tracked = 0  # frames of the culprit

        def start(self, slot, image, box, task):
            while self is made[0] and len(lockstep._waiting) + len(self.started) < len(videos) - 1:
                time.sleep(0.001)  # until all are handed in
            return super().start(slot, image, box, task)

        def step(self, images):
            answers = super().step(images)
            self.tracked += made[0].started[1] in self.names.values()
            if self.tracked == 2:
                self.tracked = 3  # it comes but once
                raise ZeroDivisionError("the target has no texture")
            return answers

    lockstep = Lockstep(lambda slots: made.append(Blaming(slots)) or made[-1], 3)
    found = together(lockstep, videos)
    first, second = made
    assert [len(step) for step in first.steps] == [3, 3]
    assert second.started[:3] == first.started
    assert sorted(second.started) == [video.name for video in videos]
    lengths = {video.name: len(video) - 1 for video in videos}
    alone = [2 if name == first.started[1] else lengths[name] for name in first.started]
    assert [len(step) for step in second.steps[: sum(alone) + 1]] == [1] * sum(alone) + [3]
    for video, trajectory in zip(videos, found, strict=True):
        if video.name == first.started[1]:
            assert isinstance(trajectory, ZeroDivisionError)
        else:
            assert_same(trajectory, follow(Wandering(), video, None))


class Preparing(WanderingBatch):
    """Wants images wrapped ahead of time, and counts them.

    Args:
        slots: As ever.
        fails: What `prepare` raises, if anything.
    """

    def __init__(self, slots, fails=None):
        super().__init__(slots)
        self.fails, self.prepared, self.handed = fails, 0, 0

    def room(self, shape):
        return np.empty(shape, np.uint8)

    def prepare(self, image):
        if self.fails is not None:
            raise self.fails
        self.prepared += 1
        return ("prepared", image)

    def _image(self, image):
        self.handed += isinstance(image, tuple)
        return image[1] if isinstance(image, tuple) else image

    def start(self, slot, image, box, task):
        return super().start(slot, self._image(image), box, task)

    def step(self, images):
        return super().step({slot: self._image(image) for slot, image in images.items()})


@pytest.mark.parametrize("fails", [None, torch.OutOfMemoryError("full")])
def test_images_are_prepared_ahead_of_time(videos, fails):
    made = []
    lockstep = Lockstep(lambda slots: made.append(Preparing(slots, fails)) or made[-1], 2, decoders=2)
    for trajectory, video in zip(together(lockstep, videos), videos, strict=True):
        assert_same(trajectory, follow(Wandering(), video))
    (teacher,) = made
    # All but those that were decoded before there was a teacher: three of each video at most.
    frames = sum(map(len, videos))
    assert teacher.handed == teacher.prepared
    assert teacher.handed >= frames - 3 * len(videos) if fails is None else teacher.handed == 0


def test_a_teacher_that_cannot_prepare_an_image_fails_the_video(videos):
    lockstep = Lockstep(lambda slots: Preparing(slots, ValueError("no such colour")), 2)
    for error in together(lockstep, videos):
        assert "no such colour" in str(error)


def test_videos_handed_in_later_are_tracked_too(videos):
    lockstep = Lockstep(WanderingBatch, 4)
    for video in videos[:3]:
        assert_same(lockstep.track(video), follow(Wandering(), video))
    assert not [
        t for t in threading.enumerate() if t.name == "lockstep" and t.is_alive() and lockstep._stepping
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("nan", r"000003, frame 3: .*nan"),
        ("none", r"000003, frame 3: .*None"),
        ("missing", r"000003, frame 3: .*None"),
        ("error", "no texture"),
        ("raise", "no texture"),
        ("start", "too small"),
    ],
)
@pytest.mark.parametrize("slots", [1, 4])
def test_a_wrong_answer_fails_its_video_only(videos, fault, said, slots):
    found = together(Lockstep(partial(Faulty, fault=fault, video="000003"), slots), videos)
    for video, trajectory in zip(videos, found, strict=True):
        if video.name.endswith("000003"):
            assert isinstance(trajectory, Exception)
            assert re.search(said, str(trajectory))
        else:
            assert_same(trajectory, follow(Wandering(), video))


def test_a_box_outside_the_image_is_an_overlap_of_0(videos):
    make = partial(Faulty, fault="outside", video="000003")
    found = together(Lockstep(make, 3), videos, 0.0)
    assert found[2].status == Status.ABANDONED
    assert len(found[2]) == 4
    assert found[2].overlap[3] == 0
    for i in (0, 1, 3, 4, 5):
        assert_same(found[i], follow(Wandering(), videos[i], 0.0))


def test_an_image_that_cannot_be_read_fails_its_video_only(videos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    odd = []
    for i, t in ((0, 0), (1, 5)):
        frames = [*videos[i].frames]
        frames[t] = broken
        odd.append(Video(videos[i].name, frames, videos[i].ground_truth, videos[i].absent))
    absent = videos[2].absent.copy()
    absent[0] = True
    odd.append(Video("nothing", videos[2].frames, videos[2].ground_truth, absent))
    found = together(Lockstep(WanderingBatch, 3), [*odd, *videos[3:]])
    assert all(isinstance(error, DataError) and str(broken) in str(error) for error in found[:2])
    assert isinstance(found[2], TeacherError)
    for trajectory, video in zip(found[3:], videos[3:], strict=True):
        assert_same(trajectory, follow(Wandering(), video))


@pytest.mark.parametrize("slots", [1, 3])
def test_a_video_that_cannot_be_released_costs_nobody_a_trajectory(videos, slots, caplog):
    class Clinging(WanderingBatch):
        def release(self, slot):
            if self.names[slot] == videos[0].name:
                raise RuntimeError("does not let go")
            super().release(slot)

    made = []
    lockstep = Lockstep(lambda count: made.append(Clinging(count)) or made[-1], slots)
    for found, video in zip(together(lockstep, videos), videos, strict=True):
        assert_same(found, follow(Wandering(), video, None))
    assert len(made) == 2
    assert f"video {videos[0].name} could not be released" in caplog.text


@pytest.mark.parametrize("when", ["made", "started", "stepped", "answered"])
def test_without_memory_fewer_videos_go_on_from_their_beginnings(videos, when, caplog):
    lockstep = Lockstep(partial(Hungry, capacity=2, when=when), 16)
    found = together(lockstep, videos)
    for trajectory, video in zip(found, videos, strict=True):
        assert_same(trajectory, follow(Wandering(), video))
    assert lockstep.slots <= 2
    halved = re.findall(r"out of memory with (\d+) videos at once; going on with (\d+)", caplog.text)
    assert halved if when != "made" else not halved
    assert all(int(fewer) == int(many) // 2 for many, fewer in halved)
    # They are remembered as they are, so that the next videos do not fail again.
    caplog.clear()
    together(lockstep, videos)
    assert not caplog.text


@pytest.mark.parametrize("when", ["made", "started", "stepped", "answered"])
def test_without_memory_for_a_single_video_each_fails_and_says_so(videos, when):
    found = together(Lockstep(partial(Hungry, capacity=0, when=when), 4), videos)
    # Of a teacher that cannot be had at all, no video says anything: the stage ends.
    kind = WorkerError if when == "made" else TeacherError
    assert all(isinstance(error, kind) for error in found)
    assert all(
        "no memory for" in str(error) and "Tried to allocate 2.00 GiB" in str(error) for error in found
    )


def test_a_video_without_memory_even_alone_leaves_the_next_ones_their_slots(videos):
    capacities = [16, 0]
    lockstep = Lockstep(lambda slots: Hungry(slots, capacities.pop(), "started"), 4)
    with pytest.raises(TeacherError, match="even alone"):
        lockstep.track(videos[0])
    assert lockstep.slots == 4
    for trajectory, video in zip(together(lockstep, videos), videos, strict=True):
        assert_same(trajectory, follow(Wandering(), video))


def test_a_teacher_is_made_for_half_as_many_videos_until_it_can_be(videos):
    asked = []

    def make(slots):
        asked.append(slots)
        return Hungry(slots, 2, "made")

    lockstep = Lockstep(make, 16)
    assert_same(lockstep.track(videos[0]), follow(Wandering(), videos[0]))
    assert asked == [16, 8, 4, 2]


def test_a_former_teacher_is_gone_before_the_next_one_is_made(videos):
    made = []

    def make(slots):
        assert all(former() is None for former in made)  # no memory of a device is held twice
        teacher = Hungry(slots, 2, "stepped")
        teacher.itself = teacher  # as networks with hooks have it, nothing but the collector ends it
        made.append(weakref.ref(teacher))
        return teacher

    found = together(Lockstep(make, 4), videos)
    for trajectory, video in zip(found, videos, strict=True):
        assert_same(trajectory, follow(Wandering(), video))
    assert len(made) > 1


def test_a_teacher_that_cannot_be_built_fails_all_and_is_tried_again(videos):
    attempts = []

    def make(slots):
        attempts.append(slots)
        if len(attempts) == 1:
            raise DataError("weights.pth", "it is damaged", "Download it again")
        return WanderingBatch(slots)

    lockstep = Lockstep(make, 2)
    with pytest.raises(DataError, match="damaged"):
        lockstep.track(videos[0])
    assert_same(lockstep.track(videos[0]), follow(Wandering(), videos[0]))


def test_with_a_teacher_that_cannot_be_built_all_that_wait_fail_at_once(videos):
    attempts = []

    def make(slots):
        attempts.append(slots)
        while len(lockstep._waiting) < len(videos) - 1:  # the first one has been taken
            time.sleep(0.001)
        raise DataError("weights.pth", "it is damaged", "Download it again")

    lockstep = Lockstep(make, 2)
    assert all(isinstance(error, DataError) for error in together(lockstep, videos))
    assert attempts == [2]


def siamrpn():
    torch.manual_seed(0)
    variant = VARIANTS["siamrpn_alex_dwxcorr"]
    tracker = prepared(variant.build().eval(), variant.tuning)
    return lambda slots: SiamRPNBatch(tracker, slots)


def mdnet():
    torch.manual_seed(0)
    network = Network(Widths(conv1=8, conv2=8, conv3=8, fc4=16, fc5=16)).eval().requires_grad_(False)
    few = Budget(16, 8, 16, 20, 60, 30, 3, 5)
    return lambda slots: MdnetBatch(network, slots, budget=few)


class OneSlot:
    """A batch teacher as a teacher: what the track stage's other road does."""

    needs_images = True

    def __init__(self, batch):
        self.batch = batch

    def start(self, image, box, task):
        self.batch.release(0)
        return self.batch.start(0, image, box, task)

    def track(self, image):
        return self.batch.step({0: image})[0]


@pytest.mark.parametrize("native", [siamrpn, mdnet])
def test_native_teachers_give_the_same_bytes_in_any_slot_beside_any_others(videos, native):
    torch.set_num_threads(1)
    make = native()
    short = [cut(video, length) for video, length in zip(videos, (4, 2, 3, 1), strict=False)]
    teacher = OneSlot(make(1))
    wanted = [follow(teacher, video) for video in short]
    for slots, order in ((2, 1), (3, -1)):
        found = together(Lockstep(make, slots), short[::order])
        for trajectory, one in zip(found[::order], wanted, strict=True):
            assert_same(trajectory, one)


@pytest.fixture
def stage(workspace, small_videos, monkeypatch):
    """A workspace whose index is made; returns a function that runs the track stage and gives the file's bytes."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests"))
    workspace(dataset={"kind": "got10k", "root": str(small_videos), "split": "train"}, teachers={"kcf": {}})
    monkeypatch.setenv("PYTHONPATH", path)
    make_index(read_params()).write(places.INDEX)

    def run(name="t", stop_below=0.5, use="odd_batch_teachers:Wandering", executor=None, **options):
        params = workspace(
            teachers={name: {"use": use, **options}},
            track={"stop_below": stop_below},
            select={"betas": [0.9]},
            executor=executor or {"workers": 1},
        )
        trajectories = track(name, read_params(params), Index.read())
        trajectories.write(places.trajectories(name))
        return trajectories

    return run


def columns(trajectories):
    return [getattr(trajectories, name).tobytes() for name in ("status", "offset", "boxes", "overlap")]


def test_the_stage_gives_the_same_with_slots_and_workers_and_tracks_nothing_twice(stage, tmp_path):
    log = tmp_path / "log"
    one = stage("one")
    two = stage("two", executor={"workers": 1, "slots": {"two": 4}}, log=str(log))
    three = stage("three", executor={"workers": 2, "slots": {"three": 2}})
    assert columns(one) == columns(two) == columns(three)
    started = log.read_text().splitlines()
    assert sorted(line.split()[0] for line in started) == Index.read().names
    assert str(os.getpid()) not in log.read_text()
    # Slots are how it is run, not what it gives: nothing is tracked again with others.
    log.write_text("")
    again = stage("two", executor={"workers": 1, "slots": {"two": 3}}, log=str(log))
    assert columns(again) == columns(one)


def test_every_gpu_has_a_worker_of_its_own(stage, tmp_path):
    log = tmp_path / "log"
    devices = ["toy:0", "toy:1"]
    found = stage(executor={"devices": devices, "slots": {"t": 1}}, device="toy", log=str(log))
    assert columns(found) == columns(stage("one"))
    used = {tuple(line.split()[1:]) for line in log.read_text().splitlines()}
    assert sorted(device for device, _ in used) == devices
    assert len({process for _, process in used}) == 2


def test_a_gpu_that_is_named_twice_has_two_workers(stage, tmp_path):
    log = tmp_path / "log"
    found = stage(executor={"devices": ["toy:0", "toy:0"], "slots": {"t": 1}}, device="toy", log=str(log))
    assert columns(found) == columns(stage("one"))
    used = {tuple(line.split()[1:]) for line in log.read_text().splitlines()}
    assert {device for device, _ in used} == {"toy:0"}
    assert len({process for _, process in used}) == 2


def test_a_video_that_kills_the_process_fails_alone(stage):
    found = stage(executor={"workers": 1, "slots": {"t": 3}}, kills="3")
    status = dict(zip(Index.read().names, found.status, strict=True))
    assert {name for name, s in status.items() if s == Status.FAILED} == {"Synthetic_Train_000003"}
    assert "worker process died, 4 times over" in found.errors[2]


def test_a_killed_run_goes_on_where_it_was(stage, workspace, tmp_path):
    log = tmp_path / "log"
    wanted = columns(stage("wanted"))
    log.touch()
    workspace(
        teachers={"t": {"use": "odd_batch_teachers:Wandering", "log": str(log)}},
        executor={"workers": 1, "slots": {"t": 2}},
    )
    command = [sys.executable, "-m", "pipeline.track", "t"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while len(log.read_text().splitlines()) < 4 and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log.write_text("")
    found = stage(executor={"workers": 1, "slots": {"t": 2}}, log=str(log))
    assert columns(found) == wanted


def test_what_cannot_be_run_in_lockstep_says_so(stage):
    with pytest.raises(
        TeacherConfigError, match=r"executor\.slots\.t = 4, but kcf tracks one video at a time"
    ):
        stage(use="kcf", executor={"slots": {"t": 4}})
    with pytest.raises(DataError, match=r"executor\.slots names other, and the teachers are t"):
        stage(executor={"slots": {"other": 4}})
    with pytest.raises(TeacherConfigError, match="one video at a time"):
        registry.create_batch("kcf", {}, 2)


def test_the_plan_is_one_video_at_a_time_unless_it_pays_or_is_asked_for(monkeypatch):
    use = "odd_batch_teachers:Wandering"
    plan = partial(planned, "t", use)
    here = ExecutorParams.model_validate
    assert plan({}, here({})) is None
    assert plan({}, here({"slots": {"t": 1}})) is None
    assert plan({}, here({"slots": {"t": 4}})).slots == 4
    assert planned("kcf", "kcf", {"device": "cuda"}, here({})) is None
    two = "cuda:0", "cuda:1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for cores, gpu in ((2, Plan(64, two, 1)), (16, Plan(32, two * 2, 4)), (128, Plan(16, two * 4, 16))):
        monkeypatch.setattr("pipeline.plan.cores", lambda found=cores: found)
        assert plan({"device": "cuda"}, here({})) == gpu
    assert plan({"device": "cuda"}, here({"slots": {"t": 5}})) == Plan(5, two * 4, 16)
    assert plan({"device": "cuda:1"}, here({})) == Plan(64, ("cuda:1",), 128)
    assert plan({"device": "cuda"}, here({"devices": ["cuda:1"]})) == Plan(64, ("cuda:1",), 128)
    assert plan({"device": "cuda"}, here({"devices": ["cuda:1"] * 3})) == Plan(21, ("cuda:1",) * 3, 42)
    assert plan({"device": "cuda"}, here({"scheduler": "tcp://a:1"})) == Plan(64, (), 1)
    assert plan({"device": "cuda"}, here({"slots": {"t": 1}})) == Plan(1, two * 4, 16)
    assert plan({"device": "cuda"}, here({"devices": ["cuda:1"] * 65})).slots == 1
    assert plan({}, here({"slots": {"t": 4}, "workers": 4})) == Plan(4, (), 32)
    assert [Plan(slots).threads for slots in (1, 3, 8)] == [2, 4, 10]
    deep = planned("eco", "eco-deep", {"device": "cuda", "weights": "w.pth"}, here({}))
    assert deep == Plan(64, two, 64)  # which says so itself: `workers_on_gpu`
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(TeacherConfigError, match="finds no GPU"):
        plan({"device": "cuda"}, here({}))


def test_which_gpu_it_is_does_not_change_the_recipe_and_which_kind_of_device_does():
    def digest(**options):
        return recipe(TeacherParams(use="odd_batch_teachers:Wandering", **options), 1)

    assert digest(device="cuda") == digest(device="cuda:3")
    assert digest(device="cuda") != digest(device="cpu")
    assert digest() == digest()


def test_an_option_of_a_third_party_may_be_called_teacher():
    """A distilled network's, for example, which has nobody beside it."""
    assert files_of("odd_teachers:Distilled", {"teacher": "resnet101"}) == []


@pytest.mark.parametrize("form", ["mapping", "string"])
def test_files_of_teachers_beside_a_student_are_part_of_its_recipe(tmp_path, monkeypatch, form):
    """Boxes of before a checkpoint was replaced would else stand for those of the new one."""
    (tmp_path / "w").write_bytes(b"1")
    (tmp_path / "b.onnx").write_bytes(b"1")
    nano = {"backbone": str(tmp_path / "b.onnx"), "neckhead": str(tmp_path / "w")}
    told = (
        {"nano": nano}
        if form == "mapping"
        else f"nano,backbone={nano['backbone']},neckhead={nano['neckhead']}"
    )
    wanted = TeacherParams(use="trainer.trackers:Trast", weights=str(tmp_path / "w"), teacher=told)
    before = recipe(wanted, 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = TeacherParams(use="trainer.trackers:Trast", weights="~/w", teacher=told)
    assert recipe(wanted, 1) == before != recipe(at_home, 1)
    assert len(files_of(at_home.use, at_home.options)) == len(files_of(wanted.use, wanted.options)) == 2
    (tmp_path / "b.onnx").write_bytes(b"2")
    assert recipe(wanted, 1) != before


def test_a_batch_teacher_is_built_once_though_it_counts_nothing_under_way(videos):
    made = []

    class Counting(WanderingBatch):
        def __len__(self):
            return len(self.teachers)

    together(Lockstep(lambda slots: made.append(Counting(slots)) or made[-1], 2), videos)
    assert len(made) == 1


def test_a_worker_whose_batch_teacher_is_not_the_one_the_run_began_with(small_videos):
    dataset = open_dataset(f"got10k:{small_videos}:train")
    video, plan = dataset[dataset.names[0]], Plan(2, (), 1)
    job = Job(
        dataset.spec, None, video.name, video.digest(), "odd_batch_teachers:Wandering", "{}", None, version=1
    )
    assert run_in_lockstep(job, plan).trajectory.status == Status.COMPLETED
    with pytest.raises(WorkerError, match=r"not what it was when the run began \(version 2, here 1\)"):
        run_in_lockstep(dataclasses.replace(job, version=2), plan)
