"""Teachers beside the student: at the same time, failing, recorded, named, of the registry."""

import threading
import time

import numpy as np
import pytest
from odd_teachers import Leaving
from plain_trackers import clip
from tracker_samples import BOX, FRAMES, Scripted, run, script, video

from datasets.results import write_results
from teachers import pool, registry
from teachers.adapted import Adapted
from teachers.base import NoRecordingError, Task, Teacher, TeacherError
from teachers.options import TeacherConfigError
from trainer.beside import Beside
from trainer.trackers import Inference, TrasfustTracker, TrasTracker, TrastTracker

pytestmark = pytest.mark.usefixtures("one_thread")


def test_student_and_teachers_run_at_the_same_time(inference):
    """Each waits for all others to be at work in the same frame: one after the other would never end."""
    gate = threading.Barrier(3, timeout=20)

    class Waiting(Scripted):
        def track(self, image):
            gate.wait()
            return super().track(image)

    class WaitingInference:
        begin, clipped = staticmethod(inference.begin), staticmethod(inference.clipped)

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


def test_a_teacher_that_ends_the_process_is_out_like_any_other_that_failed():
    beside = Beside({"a": Scripted(script(1)), "b": Leaving()})
    images = video()
    assert list(beside.start(images[0], BOX, Task("v", len(images)))) == ["a", "b"]
    beside.go(images[1])
    assert list(beside.boxes()) == ["a"]
    assert beside.failed == {"b": "SystemExit: no licence found"}


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
    with pytest.raises(NoRecordingError, match=r"70 rows.*60 frames|60.*70"):
        run(tracker, images[:60])
    one = TrastTracker(inference, "A", pool.create([f"recorded:{tmp_path}/results/A"])["A"])
    with pytest.raises(NoRecordingError, match="no result for elsewhere"):
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
    assert registry.version_of("tras", {}) == 1
    wrong = {"trast": {"teacher": {}}, "trasfust": {"teachers": []}}
    for name, options in wrong.items():
        with pytest.raises(
            TeacherConfigError, match=r"TRAST has one teacher, not 0|TRASFUST has no teachers"
        ):
            registry.create(name, {"weights": str(weights), **options})
    with pytest.raises(TeacherConfigError, match="device = 'abacus'"):
        registry.create("tras", {"weights": str(weights), "device": "abacus"})


def test_options_of_trast_and_trasfust_reach_the_student_and_equal_teachers_stay_in_order(weights):
    images = video(frames=12)
    for name, more in (("trast", {"teacher": "mosse"}), ("trasfust", {"teachers": ["mosse", "medianflow"]})):
        trackers = [
            registry.create(name, {"weights": str(weights), "period": period, **more}) for period in (2, 0)
        ]
        for tracker in trackers:
            run(tracker, images)
        forgetful, other = (tracker.values for tracker in trackers)
        assert forgetful[:4] == other[:4] and forgetful[4] != other[4]
    assert trackers[0].chosen[1] == "mosse"  # equal states, equal values: the first


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


def test_a_recording_called_so_is_of_the_datasets_kind_and_names_are_in_a_version():
    named = {"recorded": {"results": "r"}, "own": {"use": "recorded", "kind": "otb"}, "kcf": {}}
    kinds = {name: options.get("kind") for name, options in pool.named(named, "uav123").items()}
    assert kinds == {"recorded": "uav123", "own": "otb", "kcf": None}
    teacher = Scripted(script(1))
    assert pool.version_beside(1, {"a": teacher}) != pool.version_beside(1, {"b": teacher})
