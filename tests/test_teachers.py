from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datasets.boxes import overlap
from datasets.command_line import run_command
from datasets.errors import DataError
from datasets.single_video import read_single
from teachers import listing, registry
from teachers.__main__ import COMMANDS
from teachers.base import Task, Teacher, TeacherError, checked_box
from teachers.catalogue import CATALOGUE
from teachers.external import is_external
from teachers.options import TeacherConfigError, parameters_of, required

READY = ["csrt", "mosse", "opencv-kcf", "mil", "boosting", "medianflow", "tld"]
"""The trackers of OpenCV that need no files."""


@pytest.fixture(scope="session")
def clip():
    """14 frames of a textured patch that moves (2, 1) pixels per frame over a textured ground, and its boxes."""
    random = np.random.default_rng(0)

    def texture(height, width):
        coarse = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    ground, patch = texture(160, 200), texture(40, 32)
    frames, boxes = [], []
    for t in range(14):
        x, y = 40 + 2 * t, 30 + t
        frame = ground.copy()
        frame[y : y + 40, x : x + 32] = patch
        frames.append(frame)
        boxes.append((x, y, 32, 40))
    return frames, np.array(boxes, np.float32)


def track(teacher, frames, first, name="clip"):
    rows = [teacher.start(frames[0], first, Task(name, len(frames)))]
    rows += [teacher.track(frame) for frame in frames[1:]]
    return np.array([checked_box(row, f"{name}, frame {t}") for t, row in enumerate(rows)])


def main(*args):
    return run_command(COMMANDS, "python -m teachers", args=args)


def nano_options(real_data):
    folder = real_data / "weights" / "nanotrack_v2_onnx"
    return {
        "backbone": str(folder / "nanotrack_backbone_sim.onnx"),
        "neckhead": str(folder / "nanotrack_head_sim.onnx"),
    }


@pytest.mark.parametrize("name", READY)
def test_follows_and_depends_on_nothing_but_the_video(name, clip):
    frames, truth = clip
    teacher = registry.create(name, {})
    assert isinstance(teacher, Teacher)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        boxes = track(teacher, frames, truth[0])
        assert boxes.dtype == np.float32
        assert overlap(boxes, truth)[1:].mean() > 0.6
        # The same instance after another video, other random numbers drawn meanwhile, and two threads.
        track(teacher, frames[::-1], truth[-1], "backwards")
        cv2.setNumThreads(2)
        cv2.setRNGSeed(1234)
        np.testing.assert_array_equal(track(teacher, frames, truth[0]), boxes)
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("name", ["mil", "boosting", "tld"])
def test_neighbours_do_not_change_random_draws(name, clip):
    frames, truth = clip
    alone = track(registry.create(name, {}), frames, truth[0])
    one, other = registry.create(name, {}), registry.create(name, {})
    rows = [one.start(frames[0], truth[0], Task("clip", 14))]
    other.start(frames[3], truth[3], Task("neighbour", 14))
    for frame in frames[1:]:
        other.track(frame)
        rows.append(one.track(frame))
    np.testing.assert_array_equal(np.array(rows), alone)


def test_mil_draws_by_the_name_of_the_video(real_data):
    video = read_single(real_data / "got10k_layout" / "train" / "Woman_01").video
    frames = [cv2.imread(str(path)) for path in video.frames[:15]]
    mil = registry.create("mil", {})
    first = track(mil, frames, video.ground_truth[0], "a")
    assert any(
        not np.array_equal(track(mil, frames, video.ground_truth[0], name), first) for name in ("b", "c", "d")
    )


def test_a_lost_target_repeats_the_last_box(clip):
    frames, truth = clip
    noise = np.random.default_rng(1).integers(0, 256, frames[0].shape, dtype=np.uint8)
    teacher = registry.create("opencv-kcf", {})
    before = track(teacher, frames[:5], truth[0])[-1]
    for _ in range(3):
        np.testing.assert_array_equal(teacher.track(noise), before)
    stubborn = registry.create("opencv-kcf", {"detect_thresh": 0})
    before = track(stubborn, frames[:5], truth[0])[-1]
    assert any(not np.array_equal(stubborn.track(np.roll(noise, 30 * k, 1)), before) for k in range(3))


def test_the_first_box_is_the_one_given_and_opencv_gets_it_rounded(clip):
    frames, truth = clip
    fractional = truth[0] + np.float32([0.3, -0.3, 0.2, 0.4])
    teacher = registry.create("csrt", {})
    boxes = track(teacher, frames, fractional)
    np.testing.assert_array_equal(boxes[0], fractional)
    np.testing.assert_array_equal(boxes[1:], track(teacher, frames, truth[0])[1:])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("csrt", {"padding": 2, "use_segmentation": False}),
        ("opencv-kcf", {"interp_factor": 0.5, "desc_pca": 2}),
        ("medianflow", {"pointsInGrid": 3, "winSize": [9, 9]}),
        ("boosting", {"numClassifiers": 5}),
        ("mil", {"samplerInitMaxNegNum": 40, "samplerSearchWinSize": 20}),
    ],
)
def test_options_reach_the_tracker(name, options, real_data):
    video = read_single(real_data / "got10k_layout" / "train" / "David_01").video
    frames = [cv2.imread(str(path)) for path in video.frames[:12]]
    default = track(registry.create(name, {}), frames, video.ground_truth[0])
    assert not np.array_equal(track(registry.create(name, options), frames, video.ground_truth[0]), default)


def test_defaults_written_out_change_nothing(clip):
    frames, truth = clip
    for name in ("csrt", "medianflow", "boosting"):
        factory = next(entry for entry in CATALOGUE if entry.name == name).load()
        options = {key: p.default for key, p in parameters_of(name, factory).items()}
        assert len(options) >= 5
        explicit = track(registry.create(name, options), frames, truth[0])
        np.testing.assert_array_equal(explicit, track(registry.create(name, {}), frames, truth[0]))


def test_csrt_on_a_real_clip(real_data):
    video = read_single(real_data / "got10k_layout" / "train" / "FaceOcc1_01").video
    frames = [cv2.imread(str(path)) for path in video.frames[:20]]
    boxes = track(registry.create("csrt", {}), frames, video.ground_truth[0])
    assert overlap(boxes, video.ground_truth[:20]).mean() > 0.75


def test_nano_on_dragon_baby_with_its_published_weights(real_data, capfd):
    video = read_single(real_data / "otb" / "DragonBaby").video
    teacher = registry.create("nano", nano_options(real_data))
    frames = (cv2.imread(str(path)) for path in video.frames)
    rows = [teacher.start(next(frames), video.ground_truth[0], Task(video.name, len(video)))]
    rows += [teacher.track(frame) for frame in frames]
    assert overlap(np.array(rows), video.ground_truth).mean() == pytest.approx(0.724, abs=0.01)
    assert "Targets are not supported" not in capfd.readouterr().err


def test_recorded_replays_the_rows_of_the_file(real_data):
    video = read_single(real_data / "got10k_layout" / "train" / "DragonBaby_01").video
    results = real_data / "results" / "got10k_layout"
    for tracker in ("ECO", "KCF", "MDNet", "SiamFC"):
        teacher = registry.create("recorded", {"results": str(results), "tracker": tracker})
        assert not teacher.needs_images
        boxes = track(teacher, [None] * len(video), video.ground_truth[0], video.name)
        file = results / tracker / video.name / f"{video.name}_001.txt"
        np.testing.assert_array_equal(boxes, np.loadtxt(file, delimiter=",", dtype=np.float32))


def test_recorded_takes_the_origin_of_its_dataset(tmp_path):
    (tmp_path / "Some").mkdir()
    (tmp_path / "Some" / "clip.txt").write_text("11,21,30,40\n12,22,30,40\n")
    rows = {}
    for base in (None, 0, 1):
        options = {"results": str(tmp_path), "tracker": "Some", "base": base}
        teacher = registry.create("recorded", options)
        rows[base] = track(teacher, [None, None], np.zeros(4, np.float32))[:, :2].tolist()
    assert rows == {None: [[10, 20], [11, 21]], 0: [[11, 21], [12, 22]], 1: [[10, 20], [11, 21]]}


def test_recorded_begins_every_video_anew_and_ends_with_its_rows(tmp_path):
    (tmp_path / "T" / "clip").mkdir(parents=True)
    for repetition in (1, 2):
        rows = "".join(f"{10 * repetition + t},2,3,4\n" for t in range(3))
        (tmp_path / "T" / "clip" / f"clip_00{repetition}.txt").write_text(rows)
    options = {"results": str(tmp_path), "tracker": "T", "base": 0}
    teacher = registry.create("recorded", {**options, "repetition": 2})
    for _ in range(2):
        assert track(teacher, [None] * 3, np.zeros(4, np.float32))[:, 0].tolist() == [20, 21, 22]
    with pytest.raises(TeacherError, match="T: asked for frame 3 of 3 recorded"):
        teacher.track(None)
    with pytest.raises(DataError, match="Nobody"):
        registry.create("recorded", {**options, "tracker": "Nobody"})


def test_the_catalogue_says_what_the_constructors_say():
    for entry in CATALOGUE:
        factory = entry.load()
        if getattr(factory, "unavailable", lambda: None)() is None:
            assert set(required(parameters_of(entry.name, factory))) == set(entry.needs), entry.name
            if not is_external(entry.name):  # a tracker of a checkout says it when it is built
                assert registry.version_of(entry.name, {}) == factory.version
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE)


def test_listing_imports_no_network_library():
    code = (
        "import sys; from teachers import listing, registry; listing.describe(); registry.names();"
        "sys.exit(', '.join({'torch', 'numba', 'teachers.kcf'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def install(folder: Path, name: str, points: str, module: str = "") -> None:
    """Make what pip leaves in site-packages of a small package."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\nLicense: MIT\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}\n")
    (folder / f"{name}.py").write_text(module)
    sys.modules.pop(name, None)


STILL = '''
import numpy as np

class Still:
    """Says that nothing moves."""
    version = 3
    needs_images = False

    def __init__(self, grow: float = 1.0):
        self.grow = grow

    def start(self, image, box, task):
        self.box = box
        return box

    def track(self, image):
        return self.box * np.float32([1, 1, self.grow, self.grow])
'''


def test_an_installed_package_adds_teachers(tmp_path, monkeypatch, capsys):
    install(tmp_path, "still_teacher", "still = still_teacher:Still", STILL)
    install(tmp_path, "broken_teacher", "broken = broken_teacher:Broken", "import a_module_that_is_not_there")
    install(tmp_path, "greedy_teacher", "csrt = greedy_teacher:Csrt", "")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.names()[-2:] == ["broken", "still"]
    described = {(d.name, d.origin): d for d in listing.describe()}
    still = described["still", "still_teacher 1.2"]
    assert (still.what, still.licence, still.state) == ("Says that nothing moves.", "MIT", "ready")
    assert "a_module_that_is_not_there" in described["broken", "broken_teacher 1.2"].problem
    assert "write greedy_teacher:Csrt" in described["csrt", "greedy_teacher 1.2"].problem
    assert described["csrt", "built in"].state == "ready"
    assert registry.version_of("still", {}) == 3
    boxes = track(registry.create("still", {"grow": 2}), [None] * 2, np.float32([1, 2, 3, 4]))
    assert boxes.tolist() == [[1, 2, 3, 4], [1, 2, 6, 8]]
    assert main("list") == 0
    shown = capsys.readouterr().out
    assert "still" in shown
    assert "broken" in shown
    assert main("list", "still") == 0
    assert "grow: float = 1.0" in capsys.readouterr().out
    with pytest.raises(ValueError, match="a_module_that_is_not_there"):
        registry.create("broken", {})


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise SystemExit('this licence is over')", "SystemExit: this licence is over"),
        ("Odd = 7", "7 is not a class or function"),
        (
            "class Odd:\n    def __init__(self, x: 'np.no'): pass\nimport numpy as np",
            "AttributeError: module 'numpy'",
        ),
        ("class Odd:\n    def __init__(self, x: 'a box of 4'): pass", "SyntaxError: "),
        ("class Odd:\n    @classmethod\n    def unavailable(cls): exit('no GPU')", "SystemExit: no GPU"),
        ("class Odd:\n    __doc__ = 5", "ready"),
    ],
)
def test_a_package_that_misbehaves_hurts_no_other(module, said, tmp_path, monkeypatch, capsys):
    install(tmp_path, "odd_teacher", "odd = odd_teacher:Odd", module)
    monkeypatch.syspath_prepend(tmp_path)
    described = {d.name: d for d in listing.describe()}
    assert said in described["odd"].state
    assert described["csrt"].state == "ready"
    assert main("list", "odd") == 0
    assert said in capsys.readouterr().out


def test_the_list_is_whole_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    assert main("list") == 0
    shown = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_the_example_in_the_documentation(tmp_path, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "adding-a-teacher.md").read_text()
    project = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])["project"]
    code = page.partition("```python\n")[2].partition("```")[0]
    points = project["entry-points"][registry.GROUP]
    assert points == {"still": "still_teacher:Still"}
    install(tmp_path, "still_teacher", "still = " + points["still"], code)
    monkeypatch.syspath_prepend(tmp_path)
    options = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])["teachers"]["balloon"]
    teacher = registry.create(options.pop("use"), options)
    boxes = track(teacher, [None] * 3, np.float32([5, 5, 10, 20]))
    np.testing.assert_allclose(boxes[:, 2:], [[10, 20], [12, 24], [14.4, 28.8]], rtol=1e-6)
    assert registry.version_of("still", {}) == 1


GOT10K_STYLE = """
import random
import numpy as np

class Tracker:
    def __init__(self, name="mine", step=0):
        self.step = step

    def init(self, image, box):
        self.seen, self.box = [image], box

    def update(self, image):
        self.seen.append(image)
        self.box = self.box + [random.randrange(100), self.step, 0, 0]
        return self.box
"""


def test_a_tracker_of_the_got10k_toolkit_by_its_import_path(tmp_path, monkeypatch):
    (tmp_path / "got_style.py").write_text(GOT10K_STYLE)
    monkeypatch.syspath_prepend(tmp_path)
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 2] = 255
    first = np.float32([1, 2, 3, 4])
    teacher = registry.create("got_style:Tracker", {"step": 5})
    boxes = track(teacher, [red] * 3, first)
    assert boxes[:, 1].tolist() == [2, 7, 12]
    image = teacher.tracker.seen[0]
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (6, 4), (255, 0, 0))
    np.testing.assert_array_equal(track(teacher, [red] * 3, first), boxes)  # its random draws are seeded
    assert track(teacher, [red] * 3, first, "another")[:, 0].tolist() != boxes[:, 0].tolist()
    for images, colour in (("rgb", [255, 0, 0]), ("bgr", [0, 0, 255])):
        teacher = registry.create("got_style:Tracker", {"images": images})
        track(teacher, [red] * 2, first)
        assert teacher.tracker.seen[1][0, 0].tolist() == colour
    assert registry.version_of("got_style:Tracker", {}) == 1


@pytest.mark.parametrize("answer", ["(self.box, 0.9)", "{'target_bbox': self.box}", "'lost'", "None"])
def test_a_tracker_of_the_got10k_toolkit_that_answers_something_else(answer, tmp_path, monkeypatch):
    code = GOT10K_STYLE.replace("return self.box", f"return {answer}")
    (tmp_path / f"other_{len(answer)}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    teacher = registry.create(f"other_{len(answer)}:Tracker", {})
    said = r"video (\S+), frame 1: the tracker returned .*[({'N].*, not a box \(x, y, w, h\)"
    with pytest.raises(TeacherError, match=said):
        track(teacher, [np.zeros((4, 6, 3), np.uint8)] * 2, np.float32([1, 2, 3, 4]))


def test_an_entry_point_may_name_a_tracker_of_the_got10k_toolkit(tmp_path, monkeypatch):
    code = f"{GOT10K_STYLE}\nclass Closed(Tracker):\n    @staticmethod\n    def unavailable(): return 'no licence'\n"
    install(tmp_path, "got_styled", "styled = got_styled:Tracker\nclosed = got_styled:Closed", code)
    monkeypatch.syspath_prepend(tmp_path)
    teacher = registry.create("styled", {"step": 5, "images": "bgr"})
    assert track(teacher, [np.zeros((4, 6, 3), np.uint8)] * 2, np.float32([1, 2, 3, 4]))[1, 1] == 7
    with pytest.raises(TeacherConfigError, match="'closed': no licence"):
        registry.create("closed", {})


def test_a_teacher_by_its_import_path(tmp_path, monkeypatch):
    (tmp_path / "by_path.py").write_text(
        STILL + "\ndef make(grow: float) -> Still:\n    return Still(grow)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for use in ("by_path:Still", "by_path:make"):
        boxes = track(registry.create(use, {"grow": 3}), [None] * 2, np.float32([0, 0, 1, 1]))
        assert boxes[1].tolist() == [0, 0, 3, 3]
    assert registry.version_of("by_path:Still", {}) == 3
    assert registry.version_of("by_path:make", {"grow": 3}) == 3  # of a function, what it makes says it


def test_a_constructor_that_goes_elsewhere_or_ends_the_process(tmp_path, monkeypatch):
    (tmp_path / "roaming.py").write_text(
        f"{STILL}\nimport os\nos.chdir('/')\n"
        "def make(grow: float = 1.0) -> Still:\n    os.chdir('/')\n    return Still(grow)\n"
        "def leave() -> Still:\n    raise SystemExit('no licence found')\n"
        "def vague() -> Still:\n    still = Still()\n    still.version = '3'\n    return still\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    home = Path.cwd()
    registry.create("roaming:make", {})
    assert Path.cwd() == home
    with pytest.raises(TeacherConfigError, match=r"'roaming:leave' cannot be built: SystemExit: no licence"):
        registry.create("roaming:leave", {})
    with pytest.raises(TeacherConfigError, match=r"'roaming:vague': .* has version = '3'"):
        registry.create("roaming:vague", {})


def test_list_as_json(capsys):
    assert main("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [d["name"] for d in listed][: len(CATALOGUE)] == [entry.name for entry in CATALOGUE]
    states = {d["name"]: d["state"] for d in listed}
    assert states["csrt"] == "ready"
    assert states["nano"] == "needs backbone, neckhead"


@pytest.mark.parametrize("size", [(200, 160), (201, 161)])
def test_try_writes_a_video_that_can_be_read(size, clip, tmp_path, capsys):
    frames, truth = clip
    folder = tmp_path / "some_clip"
    folder.mkdir()
    for t, frame in enumerate(frames, start=1):
        wide = cv2.copyMakeBorder(frame, 0, size[1] - 160, 0, size[0] - 200, cv2.BORDER_REPLICATE)
        cv2.imwrite(str(folder / f"{t:08d}.jpg"), wide)
    np.savetxt(folder / "groundtruth.txt", truth, delimiter=",")
    (folder / "absence.label").write_text("0\n" * 13 + "1\n")
    out = tmp_path / "out" / "clip.mp4"
    args = ("try", "csrt", "--video", str(folder), "--out", str(out), "--json")
    assert main(*args, "--options", "padding=2.5", "use_gray=true") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["teacher"], summary["video"], summary["frames"]) == ("csrt", "some_clip", 14)
    assert 0.6 < summary["min_iou"] <= summary["ao"] <= 1  # the absent frame does not count
    assert summary["fps"] > 0
    capture = cv2.VideoCapture(str(out))
    decoded = []
    while (read := capture.read())[0]:
        decoded.append(read[1])
    assert len(decoded) == 14
    # Enlarged three times; the middle of the target's left edge is green or orange, what lies inside is not.
    assert decoded[0].shape == (-(-size[1] * 3 // 2) * 2, -(-size[0] * 3 // 2) * 2, 3)
    edge, inside = decoded[0][150, 120].astype(int), frames[0][50, 56].astype(int)
    assert abs(decoded[0][150, 168].astype(int) - inside).max() < 60
    assert abs(edge - (0, 140, 255)).max() < 60
    assert [p.name for p in out.parent.iterdir()] == ["clip.mp4"]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=4, max_size=4))
def test_a_checked_box_is_a_box_or_an_error(values):
    with np.errstate(over="ignore"):
        expected = np.array(values, np.float32)
    good = bool(np.isfinite(expected).all() and expected[2] > 0 and expected[3] > 0)
    for given_as in (values, tuple(values), np.array(values)):
        if good:
            np.testing.assert_array_equal(checked_box(given_as, "x"), expected)
        else:
            with pytest.raises(TeacherError, match="video v, frame 3"):
                checked_box(given_as, "video v, frame 3")
