"""What a user can get wrong with teachers, and the one message that she gets for it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from datasets.command_line import run_command
from datasets.errors import DataError
from teachers import registry
from teachers.__main__ import COMMANDS
from teachers.base import NoRecordingError, Task, TeacherError, checked_box
from teachers.options import TeacherConfigError

BOX = np.float32([3, 4, 10, 12])

MODULE = '''
class Raises:
    """Fails while it tracks."""
    version = 1
    needs_images = True

    def start(self, image, box, task):
        return box

    def track(self, image):
        raise ZeroDivisionError("the filter has no energy")


class Quits(Raises):
    def track(self, image):
        raise SystemExit(3)


class Answers(Raises):
    def __init__(self, answer):
        self.answer = answer

    def track(self, image):
        return self.answer


class Versionless:
    needs_images = True

    def start(self, image, box, task):
        return box

    def track(self, image):
        return box


class Unavailable(Raises):
    @classmethod
    def unavailable(cls):
        return "this machine has no GPU"


class Clueless(Raises):
    @classmethod
    def unavailable(cls):
        raise OSError("no driver")


class Hidden(Raises):
    def __init__(self, path: "NotImported"):
        pass


class Mute:
    pass


number = 7
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "odd.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "odd"


def main(*args):
    return run_command(COMMANDS, "python -m teachers", args=[str(a) for a in args])


@pytest.mark.parametrize(
    ("use", "options", "said"),
    [
        ("crst", {}, ["'crst'", "did you mean csrt", "Known: kcf, ", "module:callable"]),
        ("xyz", {}, ["'xyz'", "Known: kcf"]),
        ("", {}, ["''", "Known: kcf"]),
        ("csrt", {"paddding": 3}, ["paddding = 3", "did you mean padding", "Options of csrt: ", "use_hog"]),
        ("csrt", {"speed": 3}, ["speed = 3: there is no such option", "Options of csrt: "]),
        ("csrt", {"padding": "3"}, ["padding = '3'", "valid number", "it is float"]),
        ("csrt", {"padding": "1e-4"}, ["padding = '1e-4'", "valid number", "for text, so write 1.0e-4"]),
        ("csrt", {"padding": "-2.5E3"}, ["padding = '-2.5E3'", "valid number", "so write -2.5e+3"]),
        ("mdnet", {"weights": "no.pth"}, ["weights = 'no.pth'", "(it is the path of a file or null)"]),
        ("siamrpn", {"weights": "a" * 300}, ["weights = 'aaa", "cannot be looked up (File name too long)"]),
        ("csrt", {"padding": None}, ["padding = None", "it is float"]),
        ("csrt", {"use_hog": 1}, ["use_hog = 1", "boolean", "it is bool"]),
        ("csrt", {"admm_iterations": 1.5}, ["admm_iterations = 1.5", "integer", "it is int"]),
        ("csrt", {"admm_iterations": True}, ["admm_iterations = True", "it is int"]),
        ("csrt", {"a": 1, "padding": "x", "use_hog": 2}, ["a = 1", "padding = 'x'", "use_hog = 2"]),
        ("mosse", {"rate": 0.1}, ["rate = 0.1", "Options of mosse: none"]),
        ("medianflow", {"winSize": 3}, ["winSize = 3", "tuple", "it is tuple[int, ...]"]),
        ("medianflow", {"winSize": [3, "a"]}, ["winSize = [3, 'a']", "valid integer"]),
        ("nano", {}, ["backbone (the path of a file) has to be given", "neckhead", "SiamTrackers"]),
        (
            "nano",
            {"backbone": "no/b.onnx", "neckhead": "no/h.onnx"},
            ["'no/b.onnx'", "'no/h.onnx'", "github"],
        ),
        ("vit", {"net": "/no/vit.onnx"}, ["net = '/no/vit.onnx'", "does not point to a file", "opencv_zoo"]),
        (
            "recorded",
            {},
            ["results (the path of a folder) has to be given", "tracker (str)", "one folder per"],
        ),
        (
            "recorded",
            {"results": "/nowhere", "tracker": "A"},
            ["results = '/nowhere'", "not point to a direc"],
        ),
        ("recorded", {"results": ".", "tracker": "A", "base": 2}, ["base = 2", "0 or 1"]),
        (
            "no_such_module:Tracker",
            {},
            ["no_such_module:Tracker", "cannot be imported", "ModuleNotFoundError"],
        ),
        ("odd:Missing", {}, ["odd:Missing", "cannot be imported", "Missing"]),
        ("odd:", {}, ["'odd:'", "cannot be imported"]),
        ("odd:number", {}, ["odd:number", "7", "not a class or function"]),
        ("odd:Unavailable", {}, ["odd:Unavailable", "this machine has no GPU"]),
        ("odd:Clueless", {}, ["odd:Clueless", "OSError: no driver"]),
        ("odd:Hidden", {}, ["odd:Hidden", "cannot be read", "NotImported", "annotate"]),
    ],
)
def test_a_wrong_teacher_or_option(use, options, said, module):
    for check in (registry.validate, registry.create):
        with pytest.raises(TeacherConfigError) as caught:
            check(use, options)
        for part in said:
            assert part in str(caught.value)


@pytest.mark.parametrize(
    ("use", "options", "said"),
    [
        ("mdnet", {"device": "cuda:99"}, "mdnet: device = 'cuda:99' cannot be used here: "),
        ("mdnet", {"device": "abacus"}, "mdnet: device = 'abacus' cannot be used here: .* Give cpu, cuda"),
        ("mdnet", {"seed": -1}, "mdnet: seed = -1: give a whole number from 0 to 4294967295"),
        ("mdnet", {"seed": 2**32}, "mdnet: seed = 4294967296: give"),
        ("siamrpn", {"device": "meta"}, "siamrpn: device = 'meta' cannot be used here: "),
        ("siamrpn", {"threads": -1}, "siamrpn: threads = -1: give a number of threads, or 0"),
    ],
)
def test_a_device_threads_or_seed_that_there_is_not(use, options, said):
    with pytest.raises(TeacherConfigError, match=said):
        registry.create(use, options)


def test_things_that_are_no_teachers(module):
    with pytest.raises(TeacherConfigError, match="neither start and track nor init and update"):
        registry.create("odd:Mute", {})
    with pytest.raises(TeacherConfigError, match=r"Versionless is not a teacher, it lacks version\b"):
        registry.create("odd:Versionless", {})
    with pytest.raises(TeacherConfigError, match="Give it an attribute `version`"):
        registry.version_of("odd:Versionless", {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2, float("nan"), 4], "nan"),
        ([1, 2, 3, float("inf")], "inf"),
        ([1, 2, 1e300, 4], "inf"),
        ([1, 2, 0, 4], "(1.0, 2.0, 0.0, 4.0)"),
        ([1, 2, 3, -4], "-4.0"),
        ([1, 2, 3], "of shape (3,)"),
        ([[1, 2, 3, 4]], "of shape (1, 4)"),
        ("box", "'box'"),
        (None, "None"),
        ([[1, 2], [3]], "[[1, 2], [3]]"),
    ],
)
def test_a_teacher_that_returns_no_box(answer, said, module):
    teacher = registry.create("odd:Answers", {"answer": answer})
    teacher.start(None, BOX, Task("v", 2))
    with pytest.raises(TeacherError, match="video v, frame 1") as caught:
        checked_box(teacher.track(None), "video v, frame 1")
    assert said in str(caught.value)


def test_opencv_refuses_with_the_video_and_the_box():
    teacher = registry.create("csrt", {})
    image = np.full((60, 80, 3), 90, np.uint8)
    with pytest.raises(TeacherError, match=r"video far_away: OpenCV refused the target \(500, 400, 10, 10\)"):
        teacher.start(image, np.float32([500, 400, 10, 10]), Task("far_away", 2))


def test_a_target_thinner_than_half_a_pixel_is_one_for_opencv():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    kcf = registry.create("opencv-kcf", {})
    kcf.start(image, np.float32([50, 60, 0.4, 1]), Task("v", 2))
    assert kcf.track(image).tolist() == [50, 60, 1, 1]


@pytest.mark.parametrize("name", ["mil", "boosting"])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (3, 5), (5, 3), (2, 10), (1, 200)])
def test_a_target_in_which_opencv_would_look_for_a_feature_for_ever(name, size):
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    with pytest.raises(TeacherError, match=r"video v: the target .* is too small: .* [0-8] pixels"):
        registry.create(name, {}).start(image, np.float32([20, 20, *size]), Task("v", 2))


@pytest.mark.parametrize("size", [(3, 6), (6, 3), (2, 11), (4, 5)])
def test_the_smallest_targets_that_have_a_feature(size):
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    mil = registry.create("mil", {})
    box = np.float32([20, 20, *size])
    assert mil.start(image, box, Task("v", 2)).tolist() == box.tolist()
    assert checked_box(mil.track(image), "v")[2:].tolist() == list(size)


def test_a_network_that_is_none(tmp_path):
    for name in ("b.onnx", "h.onnx"):
        (tmp_path / name).write_text("<html>Quota exceeded</html>")
    options = {"backbone": str(tmp_path / "b.onnx"), "neckhead": str(tmp_path / "h.onnx")}
    with pytest.raises(TeacherConfigError, match=r"OpenCV cannot use .*b\.onnx"):
        registry.create("nano", options)


def recorded(folder, rows):
    (folder / "A" / "v").mkdir(parents=True)
    (folder / "A" / "v" / "v_001.txt").write_text(rows)
    return registry.create("recorded", {"results": str(folder), "tracker": "A"})


@pytest.mark.parametrize(("rows", "found"), [("1,2,3,4\n" * 2, 2), ("1,2,3,4\n" * 5, 5)])
def test_a_recorded_file_of_another_length(rows, found, tmp_path):
    with pytest.raises(NoRecordingError, match=rf"v_001\.txt: {found} rows for a video of 3 frames"):
        recorded(tmp_path, rows).start(None, BOX, Task("v", 3))


def test_a_hole_in_the_results(tmp_path, real_data):
    with pytest.raises(NoRecordingError, match="no result for another"):
        recorded(tmp_path, "1,2,3,4\n").start(None, BOX, Task("another", 3))
    options = {"results": str(real_data / "results" / "got10k_layout"), "tracker": "MDNet"}
    with pytest.raises(NoRecordingError, match="MDNet has no result for wakeboard7_01"):
        registry.create("recorded", options).start(None, BOX, Task("wakeboard7_01", 100))


def test_a_malformed_recorded_file(tmp_path):
    with pytest.raises(DataError, match=r"v_001\.txt, line 2: value 3 is 'x', not a number"):
        recorded(tmp_path, "1,2,3,4\n1,2,x,4\n1,2,3,4\n").start(None, BOX, Task("v", 3))


def test_a_tracker_that_was_not_recorded(tmp_path):
    recorded(tmp_path, "1,2,3,4\n")
    with pytest.raises(DataError, match="no results of 'B'; there are those of A"):
        registry.create("recorded", {"results": str(tmp_path), "tracker": "B"})


def test_recorded_rows_run_out(tmp_path):
    teacher = recorded(tmp_path, "1,2,3,4\n")
    with pytest.raises(TeacherError, match="frame 1 of 0"):
        teacher.track(None)
    teacher.start(None, BOX, Task("v", 1))
    with pytest.raises(TeacherError, match="frame 1 of 1"):
        teacher.track(None)


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for t in (1, 2, 3):
        cv2.imwrite(str(folder / f"{t:08d}.jpg"), np.full((60, 80, 3), 80 * t, np.uint8))
    (folder / "groundtruth.txt").write_text("20,20,20,20\n" * 3)
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "crst"}, "did you mean csrt"),
        ({"out": "x.avi"}, "ends in .mp4"),
        ({"fps": 0}, "--fps 0.0: give a number from 0.1 to 1000"),
        ({"fps": "inf"}, "--fps inf: give a number from 0.1 to 1000"),
        ({"fps": "123.4567"}, "x.mp4: this OpenCV cannot write it as MPEG-4 of 123.457 frames per second"),
        ({"out": "clip/folder.mp4"}, "clip/folder.mp4: this is a folder"),
        ({"options": ["padding"]}, "'padding': write key=value"),
        ({"options": ["=3"]}, "'=3': write key=value"),
        ({"options": ["padding=[3"]}, "the value is not YAML"),
        ({"options": ["padding=wide"]}, "padding = 'wide'"),
        ({"video": "nowhere"}, "there is no such folder"),
        ({"video": "."}, "holds neither groundtruth.txt"),
    ],
)
def test_try_with_a_wrong_argument(change, said, video, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (video / "folder.mp4").mkdir()
    wanted = {"name": "csrt", "video": video, "out": "x.mp4", "fps": 25, "options": ["padding=3"], **change}
    args = ["--video", wanted["video"], "--out", wanted["out"], "--fps", wanted["fps"]]
    assert main("try", wanted["name"], *args, "--options", *wanted["options"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda v: (v / "00000002.jpg").write_bytes((v / "00000002.jpg").read_bytes()[:-40]), "truncated"),
        (lambda v: (v / "00000002.jpg").unlink(), "missing in between"),
        (lambda v: (v / "00000003.jpg").write_text("no image"), "00000003.jpg"),
        (lambda v: (v / "groundtruth.txt").write_text("20,20,20,20\n1,2,3\n1,2,3,4\n"), "line 2"),
        (lambda v: (v / "groundtruth.txt").write_text("nan,nan,nan,nan\n" + "1,2,3,4\n" * 2), "no target in"),
    ],
)
def test_try_on_a_damaged_video(damage, said, video, tmp_path, capsys):
    damage(video)
    assert main("try", "csrt", "--video", video, "--out", tmp_path / "x.mp4") == 2
    assert said in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip"]


def test_try_writes_over_nothing_that_it_reads(video, tmp_path, module, capsys):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "net.pth").write_bytes(b"weights")
    args = ("--video", video, "--out", tmp_path / "x.mp4", "--options")
    for name, boxes in (
        ("answer=[1, 2, 3, 4]", video / "groundtruth.txt"),
        (f"answer={tmp_path}/net.pth", tmp_path / "net.pth"),
    ):
        assert main("try", "odd:Answers", *args, name, "--boxes", boxes) == 2
        assert f"--boxes {boxes}: this file is " in capsys.readouterr().err
    (tmp_path / "net.pth").unlink()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_try_with_a_teacher_that_fails(video, tmp_path, module, capsys):
    args = ("--video", video, "--out", tmp_path / "x.mp4", "--options", f"answer={json.dumps([1, 2, -3, 4])}")
    assert main("try", "odd:Answers", *args) == 1
    error = capsys.readouterr().err
    assert "odd:Answers failed" in error
    assert "frame 1" in error
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize(
    ("tracker", "said"),
    [
        ("Raises", "video clip, frame 1: ZeroDivisionError: the filter has no energy"),
        ("Quits", "video clip, frame 1: SystemExit: 3"),
    ],
)
def test_try_says_where_a_tracker_raised(tracker, said, video, tmp_path, module, capsys):
    assert main("try", f"odd:{tracker}", "--video", video, "--out", tmp_path / "x.mp4") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"odd:{tracker} failed: {said}\nTraceback")
    assert "in track" in error  # the tracker's own lines, for whoever wrote it
    assert not (tmp_path / "x.mp4").exists()


def test_try_draws_a_box_beyond_all_bounds(video, tmp_path, module):
    args = (
        "--video",
        video,
        "--out",
        tmp_path / "x.mp4",
        "--options",
        "answer=[-1.0e+30, 2, 2.0e+30, 1.0e+38]",
    )
    assert main("try", "odd:Answers", *args) == 0


def test_try_shows_every_frame_of_a_video_whose_size_changes(video, tmp_path, module):
    cv2.imwrite(str(video / "00000002.jpg"), np.full((90, 70, 3), 255, np.uint8))
    args = ("--video", video, "--out", tmp_path / "x.mp4", "--options", "answer=[20, 20, 20, 20]")
    assert main("try", "odd:Answers", *args) == 0
    capture = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    shown = [capture.read()[1] for _ in range(3)]
    assert [frame.shape for frame in shown] == [(360, 480, 3)] * 3
    # The second one, higher than wide, is whole and beside it is black.
    assert shown[1][340, 100].min() > 200
    assert shown[1][340, 470].max() < 50


def test_list_of_an_unknown_teacher(capsys):
    assert main("list", "crst") == 2
    assert "did you mean csrt" in capsys.readouterr().err
