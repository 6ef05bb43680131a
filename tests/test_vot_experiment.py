"""VOT's supervised experiment: regions, restarts, files, and EAO, accuracy and robustness worked out by hand."""

import json
import math
import sys
from configparser import ConfigParser
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.command_line import guarded
from datasets.errors import DataError
from teachers.base import TeacherError
from trainer.evaluate.command import Evaluate
from trainer.evaluate.regions import area, clipped, polygon, read_polygons, region_overlap
from trainer.evaluate.supervised import Run, State, read_run, run_file, run_supervised, write_run
from trainer.evaluate.tracker_spec import Defaults, TrackerSpec, parse_trackers
from trainer.evaluate.vot_entry import (
    Ini,
    box_around,
    read_description,
    sequence_name,
    serve,
    write_trackers_ini,
)
from trainer.evaluate.vot_recordings import score_vot_folder, vot_trackers
from trainer.evaluate.vot_scores import Fragment, eao, eao_curve, score_sequence

IMAGE = (100.0, 100.0)
TARGET = [40.0, 40.0, 10.0, 10.0]
AWAY = [80.0, 80.0, 10.0, 10.0]


class Scripted:
    """Follows the target, except where its script, by the frames since the start of the video's folder, says else.

    Frames are told by what the image's first pixel holds.
    """

    version = 1
    needs_images = True

    def __init__(self, **script):
        self.script = {int(frame[1:]): box for frame, box in script.items()}
        self.started = []

    def start(self, image, box, task):
        self.started.append((int(image[0, 0, 0]), np.asarray(box).tolist(), task.name, task.length))
        return np.asarray(box, np.float32)

    def track(self, image):
        return np.float32(self.script.get(int(image[0, 0, 0]), TARGET))


def write_sequence(root, name, frames, rows=None):
    """A sequence whose images are grey of their own 0-based number; the target rests at TARGET."""
    folder = root / name / "color"
    folder.mkdir(parents=True)
    for t in range(frames):
        cv2.imwrite(str(folder / f"{t + 1:08d}.png"), np.full((100, 100, 3), t, np.uint8))
    rows = rows or [TARGET] * frames
    (root / name / "groundtruth.txt").write_text(
        "".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows)
    )
    with (root / "list.txt").open("a") as file:
        file.write(f"{name}\n")


def run_command(**options):
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = guarded(Evaluate(**options), "evaluate")
    return code, out.getvalue(), err.getvalue()


# Regions.


def rotated(x, y, w, h, degrees):
    """Corners of a rectangle turned around its centre."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)]
    return [(x + w / 2 + c * u - s * v, y + h / 2 + s * u + c * v) for u, v in corners]


def test_overlaps_worked_out_by_hand():
    square = polygon([10, 10, 20, 20])
    diamond = [(20.0, 10.0), (30.0, 20.0), (20.0, 30.0), (10.0, 20.0)]
    assert area(square) == 400
    assert area(diamond) == 200
    assert region_overlap(square, square, IMAGE) == 1
    assert region_overlap(square, diamond, IMAGE) == pytest.approx(0.5)
    assert region_overlap(diamond, square, IMAGE) == pytest.approx(0.5)
    assert region_overlap(square, polygon([20, 10, 20, 20]), IMAGE) == pytest.approx(1 / 3)
    assert region_overlap(square, polygon([30, 10, 20, 20]), IMAGE) == 0
    # Half of both lies beyond the border, where nobody can see it: what is left is the same.
    assert region_overlap(polygon([-10, 0, 20, 20]), polygon([-20, 0, 30, 20]), IMAGE) == pytest.approx(1)
    assert region_overlap(polygon([90, 0, 20, 20]), polygon([90, 0, 10, 20]), IMAGE) == pytest.approx(1)
    assert region_overlap(polygon([200, 0, 5, 5]), polygon([200, 0, 5, 5]), IMAGE) == 0
    arrow = [(0.0, 0.0), (40.0, 20.0), (0.0, 40.0), (20.0, 20.0)]  # not convex, area 400
    assert region_overlap(arrow, polygon([0, 0, 40, 40]), IMAGE) == pytest.approx(400 / 1600)
    assert region_overlap(polygon([0, 0, 10, 40]), arrow, IMAGE) == pytest.approx(50 / (400 + 400 - 50))
    with pytest.raises(ValueError, match="convex"):
        region_overlap(arrow, arrow, IMAGE)


sides = st.tuples(st.floats(5, 60), st.floats(5, 60), st.floats(1, 35), st.floats(1, 35))


@given(sides, sides)
def test_upright_rectangles_overlap_as_boxes_do(a, b):
    assert region_overlap(polygon(a), polygon(b), IMAGE) == pytest.approx(float(overlap(a, b)), abs=1e-9)


@given(sides, sides, st.floats(-180, 180), st.floats(-180, 180))
def test_overlap_is_symmetric_and_never_more_than_the_smaller_over_the_larger(a, b, u, v):
    one, other = rotated(*a, u), rotated(*b, v)
    found = region_overlap(one, other, (1e4, 1e4)) if min(min(p) for p in one + other) >= 0 else None
    if found is not None:
        assert found == pytest.approx(region_overlap(other, one, (1e4, 1e4)), abs=1e-9)
        areas = sorted([a[2] * a[3], b[2] * b[3]])
        assert -1e-12 <= found <= areas[0] / areas[1] + 1e-9
    assert area(clipped(one, one)) == pytest.approx(a[2] * a[3])


def test_overlap_against_counting_points():
    one, other = rotated(20, 20, 40, 25, 30), polygon([30, 15, 35, 30])
    grid = np.stack(np.meshgrid(np.arange(0, 100, 0.1), np.arange(0, 100, 0.1)), -1).reshape(-1, 2) + 0.05

    def inside(region):
        edges = zip(region, [*region[1:], region[0]], strict=True)
        return np.all(
            [
                (x2 - x1) * (grid[:, 1] - y1) - (y2 - y1) * (grid[:, 0] - x1) >= 0
                for (x1, y1), (x2, y2) in edges
            ],
            axis=0,
        )

    a, b = inside(one), inside(other)
    assert region_overlap(one, other, IMAGE) == pytest.approx((a & b).sum() / (a | b).sum(), abs=2e-3)


def test_ground_truth_is_read_or_refused(tmp_path):
    path = tmp_path / "groundtruth.txt"
    path.write_text("1,2,3,4\n5,6,7,8\n")
    assert read_polygons(path)[0] == [(1, 2), (4, 2), (4, 6), (1, 6)]
    path.write_text("0,0,4,0,4,4\n")
    assert read_polygons(path) == [[(0, 0), (4, 0), (4, 4)]]
    path.write_text("1,2,3,4\nNaN,NaN,NaN,NaN\n")
    with pytest.raises(DataError, match="line 2: the target has no region"):
        read_polygons(path)
    path.write_text("1,2,3,4,5\n")
    with pytest.raises(DataError, match="5 values"):
        read_polygons(path)


# The experiment.


def test_a_failure_restarts_the_tracker_five_frames_later(tmp_path):
    write_sequence(tmp_path, "s", 20, [[40 + t, 40, 10, 10] for t in range(20)])
    video = open_dataset(f"vot:{tmp_path}")["s"]
    tracker = Scripted(f4=AWAY, f10=[51, 40, 10, 10], f11=AWAY, f17=[57, 40, 10, 10], f18=AWAY)
    run = run_supervised(tracker, video, read_polygons(tmp_path / "s" / "groundtruth.txt"), IMAGE)
    shown = [row.name if isinstance(row, State) else "region" for row in run.rows]
    assert shown == [
        *["STARTED", "region", "region", "region", "FAILED", "NOT_RUN", "NOT_RUN", "NOT_RUN", "NOT_RUN"],
        *["STARTED", "region", "FAILED", "NOT_RUN", "NOT_RUN", "NOT_RUN", "NOT_RUN"],
        *["STARTED", "region", "FAILED", "NOT_RUN"],
    ]
    assert [frame for frame, *_ in tracker.started] == [0, 9, 16]
    assert tracker.started[1] == (9, [49, 40, 10, 10], "s", 11)
    assert run.failures == [4, 11, 18]
    assert run.starts == [0, 9, 16]
    assert (run.seconds[[5, 6, 7, 8]] == 0).all()


def test_a_rotated_target_starts_the_box_around_it(tmp_path):
    corners = rotated(40, 40, 20, 10, 45)
    write_sequence(tmp_path, "s", 2, [[v for point in corners for v in point]] * 2)
    tracker = Scripted()
    run = run_supervised(
        tracker,
        open_dataset(f"vot:{tmp_path}")["s"],
        read_polygons(tmp_path / "s" / "groundtruth.txt"),
        IMAGE,
    )
    half = 15 / math.sqrt(2)
    assert tracker.started[0][1] == pytest.approx([50 - half, 45 - half, 2 * half, 2 * half], abs=1e-3)
    assert not run.failures  # TARGET touches the rotated region


def test_runs_are_written_and_read_back(tmp_path):
    rows = [State.STARTED, polygon([1, 2, 3, 4.25]), State.FAILED, State.NOT_RUN]
    path = run_file(tmp_path, "T", "s")
    write_run(path, Run(rows, np.array([0.5, 0.25, 0.25, 0])))
    assert path.read_text() == "1\n1.0000,2.0000,3.0000,4.2500\n2\n0\n"
    back = read_run(path, 4)
    assert back.rows == rows
    assert back.seconds.tolist() == [0.5, 0.25, 0.25, 0]
    times = path.with_name("s_001_time.value")
    times.write_text("0.5\n0.25\n0.25\n\n")  # as the VOT toolkit has it
    assert read_run(path, 4).seconds.tolist() == [0.5, 0.25, 0.25, 0]
    times.write_text("0.5\nsoon\n0.25\n\n")
    with pytest.raises(DataError, match="line 2: 'soon' is not a number"):
        read_run(path, 4)
    times.write_text("0.5\n")
    with pytest.raises(DataError, match="1 rows for 4 frames"):
        read_run(path, 4)
    times.unlink()
    assert np.isnan(read_run(path, 4).seconds).all()
    path.write_text("1\n0,0,4,0,4,4,0,4\n2\n0\n")  # another tracker may give polygons
    assert read_run(path, 4).rows[1] == polygon([0, 0, 4, 4])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n2\n", "2 rows for a sequence of 3 frames"),
        ("1\n2\n7\n", "line 3: '7' is no state"),
        ("1\n1,2,3\n2\n", "line 2: '1,2,3' is no state"),
        ("1\nx\n2\n", "line 2: 'x' is no state"),
        ("1,2,3,4\n2\n0\n", "line 1: the first row is '1,2,3,4', not 1"),
    ],
)
def test_rows_that_are_no_run_are_refused(tmp_path, text, words):
    path = tmp_path / "s_001.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_run(path, 3)


# The measures.


def half_run(*rows):
    """A run over a target of TARGET: `h` overlaps by half, `w` wholly, `1` starts, `2` fails, `0` is not run."""
    regions = {"h": polygon([40, 40, 10, 5]), "w": polygon(TARGET)}
    return Run(
        [regions[r] if r in regions else State(int(r)) for r in "".join(rows)], np.ones(len("".join(rows)))
    )


def scored(name, *runs):
    return score_sequence(name, runs, [polygon(TARGET)] * len(runs[0].rows), IMAGE)


def test_accuracy_leaves_out_ten_frames_from_every_start():
    score = scored("s", half_run("1", "h" * 9, "w" * 2, "h", "2", "0" * 4, "1", "h" * 9, "w"))
    assert score.accuracy == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert score.failures == 1
    assert score.frames == 29
    assert (
        scored("s", half_run("1", "w" * 9)).accuracy == 0
    )  # as the VOT toolkit has it where nothing is left
    # Repetitions: the mean of both.
    score = scored("s", half_run("1", "h" * 9, "ww"), half_run("1", "h" * 9, "h2"))
    assert score.accuracy == pytest.approx((1 + 0.5) / 2)
    assert score.failures == 0.5


def test_eao_curve_worked_out_by_hand():
    lost = Fragment(np.array([0, 1.0, 0.5]), failed=True)  # Φ: 1, 3/4, then (1.5 / n)
    kept = Fragment(np.array([0, 0.5, 0.5, 0.5]), failed=False)  # 1/2 up to its end
    long = Fragment(np.array([0, 1.0, 1.0, 1.0, 1.0]), failed=False)
    curve = eao_curve([lost, kept, long])
    wanted = [0, (1 + 0.5 + 1) / 3, (0.75 + 0.5 + 1) / 3, (0.5 + 0.5 + 1) / 3, (1.5 / 4 + 1) / 2]
    assert curve == pytest.approx(wanted)
    assert eao(curve, (1, 3)) == pytest.approx(np.mean(wanted[1:4]))
    assert eao(curve, (3, 99)) == pytest.approx(np.mean(wanted[3:]))
    with pytest.raises(ValueError, match="--interval LOW HIGH"):
        eao(curve, (46, 291))


def test_fragments_lie_between_starts_and_failures():
    score = scored("s", half_run("1hw2", "0000", "1w2", "0000", "1hh"))
    assert [(f.overlaps.tolist(), f.failed) for f in score.fragments] == [
        ([0, 0.5, 1], True),
        ([0, 1], True),
        ([0, 0.5, 0.5], False),
    ]
    assert [(len(f.overlaps), f.failed) for f in scored("s", half_run("1hw2", "0")).fragments] == [(3, True)]


@given(
    st.lists(
        st.tuples(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.booleans()), min_size=1, max_size=6
    )
)
def test_the_curve_is_what_plain_loops_give(fragments):
    fragments = [(overlaps, failed) for overlaps, failed in fragments] + [([0.0] * 9, False)]
    curve = eao_curve([Fragment(np.array(o), f) for o, f in fragments])
    for n in range(1, 9):
        values = []
        for overlaps, failed in fragments:
            if failed or n < len(overlaps):
                values.append(sum((overlaps + [0.0] * 9)[1 : n + 1]) / n)
        assert curve[n] == pytest.approx(np.mean(values))


# The command, and folders of others.


@pytest.fixture
def stack(tmp_path):
    write_sequence(tmp_path / "vot", "one", 30)
    write_sequence(tmp_path / "vot", "two", 20)
    return tmp_path / "vot"


def script_file(folder):
    path = folder / "trackers.yaml"
    path.write_text("S: {use: 'test_vot_experiment:Scripted', f25: [80, 80, 10, 10]}\n")
    return path


def test_the_command_runs_the_experiment_and_scores_it(stack, tmp_path):
    options = {
        "trackers": script_file(tmp_path),
        "dataset": (f"vot:{stack}",),
        "interval": (5, 15),
        "out": tmp_path / "out",
        "workers": 1,
    }
    code, out, err = run_command(**options, format="json", per_sequence=True)
    assert code == 0, err
    (record,) = json.loads(out)
    assert record == {
        "tracker": "S",
        "dataset": f"vot:{stack}",
        "sequences": 2,
        "frames": 50,
        "eao": 1.0,
        "accuracy": 1.0,
        "robustness": 2.0,
        "failures": pytest.approx(30 / 50),
    }
    assert "failures" in err
    folder = tmp_path / "out" / "results" / "VOT"
    lines = run_file(folder, "S", "one").read_text().splitlines()
    assert lines == ["1", *["40.0000,40.0000,10.0000,10.0000"] * 24, "2", "0", "0", "0", "0"]
    assert vot_trackers(folder) == ["S"]
    code, out, err = run_command(
        results=(folder,),
        dataset=(f"vot:{stack}",),
        interval=(5, 15),
        format="markdown",
        report=tmp_path / "report",
    )
    assert (tmp_path / "report" / "VOT" / "eao.svg").is_file()
    assert (
        (tmp_path / "report" / "VOT" / "S.csv")
        .read_text()
        .splitlines()[0]
        .startswith("sequence,frames,accuracy")
    )
    assert out.splitlines()[0] == "| tracker | VOT EAO | VOT A | VOT R | FPS |"
    assert "| S | 1.000 | 1.000 | 2.000 |" in out
    run_file(folder, "S", "two").unlink()
    code, _, err = run_command(results=(folder,), dataset=(f"vot:{stack}",), interval=(5, 15))
    assert code == 2
    assert "S has no run for 1 of 2 sequences: two" in err
    assert run_command(results=(folder,), dataset=(f"vot:{stack}",), interval=(5, 15), missing="omit")[0] == 0
    assert "1 of 1 video run" in run_command(**options)[2]


def test_lengths_that_no_sequence_reaches_are_refused(stack, tmp_path):
    code, _, err = run_command(
        trackers=script_file(tmp_path), dataset=(f"vot:{stack}",), out=tmp_path / "out", workers=1
    )
    assert code == 2
    assert "the longest run has 25 frames: EAO over 46 to 291" in err


def test_the_toolkits_binary_form_and_empty_folders_are_refused(stack, tmp_path):
    path = run_file(tmp_path / "results", "T", "one").with_suffix(".bin")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"?")
    with pytest.raises(DataError, match="VOT_RESULTS_BINARY=0"):
        score_vot_folder(tmp_path / "results", "T", open_dataset(f"vot:{stack}"), (5, 15))
    with pytest.raises(DataError, match="no runs of the supervised experiment"):
        vot_trackers(stack)


def test_one_pass_on_vot_is_by_option(stack, tmp_path):
    code, out, err = run_command(
        trackers=script_file(tmp_path),
        dataset=(f"vot:{stack}",),
        out=tmp_path / "out",
        workers=1,
        experiment="ope",
        format="json",
    )
    assert code == 0, err
    (record,) = json.loads(out)
    assert record["sr50"] == pytest.approx((29 / 30 + 1) / 2)


# The official toolkit, over TraX: its module is not needed to test what we say to it.


class Trax:
    """Stands where the module of vot-trax stands: hands out requests, keeps the answers."""

    TraxStatus = SimpleNamespace(QUIT="quit", ERROR="error", INITIALIZE="initialize", FRAME="frame")
    Region = SimpleNamespace(RECTANGLE="rectangle", POLYGON="polygon")
    Image = SimpleNamespace(PATH="path")

    class Rectangle:
        @staticmethod
        def create(*values):
            return values

    def __init__(self, requests):
        self.requests = iter(requests)
        self.answers = []

    def Server(self, regions, images, tracker_name):
        self.offered = (regions, images, tracker_name)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def wait(self):
        return next(self.requests)

    def status(self, objects):
        self.answers.append(objects)


def request(kind, path=None, objects=None):
    image = {"color": SimpleNamespace(path=lambda: str(path))}
    return SimpleNamespace(type=kind, image=image, objects=objects)


def test_the_toolkit_is_answered(stack):
    rectangle = SimpleNamespace(type="rectangle", bounds=lambda: (40.0, 40.0, 10.0, 10.0))
    images = [stack / "one" / "color" / f"{n:08d}.png" for n in range(1, 6)]
    trax = Trax(
        [
            request("initialize", images[0], [(rectangle, {})]),
            request("frame", images[1]),
            request("initialize", images[2], [(rectangle, {})]),
            request("frame", images[3]),
            request("quit"),
        ]
    )
    serve(trax, TrackerSpec("S", "test_vot_experiment:Scripted", {"f3": AWAY}))
    target = [((40.0, 40.0, 10.0, 10.0), {})]
    assert trax.answers == [target, target, target, [(tuple(AWAY), {})]]
    assert trax.offered[2] == "S"
    assert sequence_name(images[0]) == "one"


def test_a_broken_tracker_ends_the_session(stack):
    rectangle = SimpleNamespace(type="rectangle", bounds=lambda: (40.0, 40.0, 10.0, 10.0))
    trax = Trax(
        [
            request("initialize", stack / "one" / "color" / "00000001.png", [(rectangle, {})]),
            request("frame", stack / "one" / "color" / "00000002.png"),
        ]
    )
    with pytest.raises(TeacherError, match="00000002"):
        serve(trax, TrackerSpec("S", "test_vot_experiment:Scripted", {"f1": [0, 0, -1, 5]}))


def test_a_polygon_becomes_the_box_around_it():
    class Polygon(list):
        type = "polygon"

    assert box_around(Polygon([(3.0, 1.0), (5.0, 4.0), (2.0, 6.0)])).tolist() == [2, 1, 3, 5]


def test_trackers_ini_runs_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").write_bytes(b"weights")
    specs = parse_trackers(("tras", "kcf"), Defaults(weights=Path("w")))
    path = write_trackers_ini(tmp_path / "work space", specs)
    ini = ConfigParser()
    ini.read(path)
    assert ini.sections() == ["tras", "kcf"]
    assert ini["tras"]["protocol"] == "trax"
    description = tmp_path / "work space" / "trackers" / "tras.json"
    assert ini["tras"]["command"].startswith(f"{sys.executable} -m trainer.evaluate.vot_entry serve ")
    assert str(description) in ini["tras"]["command"]
    assert read_description(description).options == {"weights": str(tmp_path / "w")}
    description.write_text("{}")
    with pytest.raises(DataError, match="Write it with"):
        read_description(description)


def test_the_ini_command_checks_trackers_first(tmp_path):
    err = StringIO()
    with redirect_stderr(err):
        assert guarded(Ini(out=tmp_path / "w", tracker=("kfc",)), "vot_entry") == 2
    assert "did you mean kcf" in err.getvalue()
    assert not (tmp_path / "w").exists()
