"""VOT at the command line: the experiment, folders of others, and the official toolkit over TraX."""

import json
import shlex
import sys
from configparser import ConfigParser
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from evaluation_samples import run
from vot_samples import AWAY, write_sequence

from datasets import open_dataset
from datasets.command_line import guarded
from datasets.errors import DataError
from teachers.base import TeacherError
from trainer.evaluate.regions import polygon
from trainer.evaluate.supervised import Run, State, run_file, write_run
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
from trainer.student import Student, StudentOptions, save_student


@pytest.fixture
def stack(tmp_path):
    write_sequence(tmp_path / "vot", "one", 30)
    write_sequence(tmp_path / "vot", "two", 20)
    return tmp_path / "vot"


def script_file(folder):
    path = folder / "trackers.yaml"
    path.write_text("S: {use: 'vot_samples:Scripted', f25: [80, 80, 10, 10]}\n")
    return path


def test_the_command_runs_the_experiment_and_scores_it(stack, tmp_path):
    options = {
        "trackers": script_file(tmp_path),
        "dataset": (f"vot:{stack}",),
        "interval": (5, 15),
        "out": tmp_path / "out",
        "workers": 1,
    }
    code, out, err = run(**options, format="json", per_sequence=True)
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
    code, out, err = run(
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
    code, _, err = run(results=(folder,), dataset=(f"vot:{stack}",), interval=(5, 15))
    assert code == 2
    assert "S has no run for 1 of 2 sequences: two" in err
    assert run(results=(folder,), dataset=(f"vot:{stack}",), interval=(5, 15), missing="omit")[0] == 0
    assert "1 of 1 video run" in run(**options)[2]


def test_runs_of_another_challenges_sequence_of_that_name_are_refused(stack, tmp_path):
    """They would be scored against a target that they never saw."""
    write_sequence(tmp_path / "later", "one", 30, [AWAY] * 30)
    options = {"trackers": script_file(tmp_path), "out": tmp_path / "out", "workers": 1, "interval": (5, 15)}
    assert run(**options, dataset=(f"vot:{stack}",))[0] == 0
    code, _, err = run(**options, dataset=(f"vot:{tmp_path / 'later'}",))
    assert code == 2
    assert "one_001.txt: these are of another video of that name" in err and "another --out" in err


def test_rows_beyond_the_last_image_are_left_out(tmp_path):
    write_sequence(tmp_path / "vot", "one", 30, [[40, 40, 10, 10]] * 31)
    code, out, err = run(
        trackers=script_file(tmp_path),
        dataset=(f"vot:{tmp_path / 'vot'}",),
        interval=(5, 15),
        out=tmp_path / "out",
        workers=1,
        format="json",
    )
    assert code == 0, err
    assert json.loads(out)[0]["frames"] == 30


def test_lengths_that_no_sequence_reaches_are_refused(stack, tmp_path):
    code, _, err = run(
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
    path.with_suffix(".txt").write_text("1\n" + "40,40,10,10\n" * 29)  # what can be read is
    assert score_vot_folder(tmp_path / "results", "T", open_dataset(f"vot:{stack}"), (5, 15), "omit")
    (stack / "one" / "baseline").write_text("a file is no runs")
    with pytest.raises(DataError, match="no runs of the supervised experiment"):
        vot_trackers(stack)


def test_all_repetitions_of_a_run_are_scored_frame_by_frame(tmp_path):
    """The target leaves an image of 100 x 60 to the right; the tracker loses it there in the second run alone."""
    places = [[60 + 2 * t, 20, 20, 20] for t in range(16)]
    write_sequence(tmp_path / "vot", "s", 16, places)
    for t in range(16):
        cv2.imwrite(
            str(tmp_path / "vot" / "s" / "color" / f"{t + 1:08d}.png"), np.zeros((60, 100, 3), np.uint8)
        )
    cut = [polygon([x, y, min(w, 100 - x), h]) for x, y, w, h in places]
    whole = Run([State.STARTED, *cut[1:]], np.ones(16))
    lost = Run([State.STARTED, *cut[1:15], State.FAILED], np.ones(16))
    write_run(run_file(tmp_path / "r", "T", "s"), whole)
    write_run(run_file(tmp_path / "r", "T", "s", 2), lost)
    found = score_vot_folder(tmp_path / "r", "T", open_dataset(f"vot:{tmp_path / 'vot'}"), (5, 15))
    assert found.values["failures"] == 0.5
    assert found.values["accuracy"] == pytest.approx(1)
    assert len(found.sequences[0].fragments) == 2


def test_a_tracker_without_any_run_has_no_scores(stack, tmp_path):
    with pytest.raises(DataError, match="T has no run for 2 of 2 sequences: one, two"):
        score_vot_folder(tmp_path, "T", open_dataset(f"vot:{stack}"), (5, 15), "omit")


def test_the_first_five_sequences_without_a_run_are_named(tmp_path):
    for name in "abcdef":
        write_sequence(tmp_path / "vot", name, 2)
    with pytest.raises(DataError, match="no run for 6 of 6 sequences: a, b, c, d, e and 1 more"):
        score_vot_folder(tmp_path, "T", open_dataset(f"vot:{tmp_path / 'vot'}"), (5, 15))


def test_one_pass_on_vot_is_by_option(stack, tmp_path):
    code, out, err = run(
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


def test_who_gave_the_boxes_is_kept_of_a_single_pass_alone(stack, tmp_path):
    options = {"tracker": ("S=evaluation_samples:Still",), "dataset": (f"vot:{stack}",), "fractions": True}
    for more in ({"out": tmp_path / "out", "workers": 1}, {"results": (tmp_path,)}):
        code, _, err = run(**options, **more)
        assert code == 2
        assert "VOT's supervised experiment keeps no record of who gave each frame's box" in err
    assert not (tmp_path / "out").exists()
    options |= {"out": tmp_path / "out", "workers": 1, "experiment": "ope"}
    code, out, err = run(**options, format="json")
    assert code == 0, err
    assert set(json.loads(out)[0]["shares"]) == {"student", "kcf"}


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
    serve(trax, TrackerSpec("S", "vot_samples:Scripted", {"f3": AWAY}))
    target = [((40.0, 40.0, 10.0, 10.0), {})]
    assert trax.answers == [target, target, target, [(tuple(AWAY), {})]]
    assert trax.offered[2] == "S"
    assert [sequence_name(Path(p)) for p in ("a/color/1.jpg", "a/img/1.jpg", "b/a/1.jpg")] == ["a"] * 3


def test_a_tracker_without_images_is_told_none_and_an_error_ends_the_session(tmp_path):
    rectangle = SimpleNamespace(type="rectangle", bounds=lambda: (40.0, 40.0, 10.0, 10.0))
    nowhere = tmp_path / "one" / "color" / "00000001.png"
    trax = Trax(
        [request("initialize", nowhere, [(rectangle, {})]), request("frame", nowhere), request("error")]
    )
    serve(trax, TrackerSpec("S", "evaluation_samples:Still", {}))
    assert trax.answers == [[((40.0, 40.0, 10.0, 10.0), {})]] * 2


def test_a_tracker_is_told_the_sequence_and_no_end_of_it(tmp_path):
    rectangle = SimpleNamespace(type="rectangle", bounds=lambda: (40.0, 40.0, 10.0, 10.0))
    first = tmp_path / "one" / "color" / "00000001.png"
    trax = Trax([request("initialize", first, [(rectangle, {})]), request("quit")])
    serve(trax, TrackerSpec("S", "vot_samples:Telling", {}))
    assert trax.answers == [[((0.0, 0.0, 3.0, 1_000_000.0), {})]]


def test_a_broken_tracker_ends_the_session(stack):
    rectangle = SimpleNamespace(type="rectangle", bounds=lambda: (40.0, 40.0, 10.0, 10.0))
    trax = Trax(
        [
            request("initialize", stack / "one" / "color" / "00000001.png", [(rectangle, {})]),
            request("frame", stack / "one" / "color" / "00000002.png"),
        ]
    )
    with pytest.raises(TeacherError, match="00000002"):
        serve(trax, TrackerSpec("S", "vot_samples:Scripted", {"f1": [0, 0, -1, 5]}))


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
    (tmp_path / "kcf").mkdir()  # as of results
    (beside,) = parse_trackers(("trast",), Defaults(weights=Path("w"), teachers=("kcf",)))
    write_trackers_ini(tmp_path / "work space", [beside])
    told = read_description(description.with_name("trast.json"))
    assert told.options == {**read_description(description).options, "teacher": {"kcf": {"use": "kcf"}}}
    for text in ("{}", "[]", "{"):
        description.write_text(text)
        with pytest.raises(DataError, match="Write it with"):
            read_description(description)


def test_the_ini_command_writes_trackers_of_a_file_and_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_student(tmp_path / "w.safetensors", Student(StudentOptions(backbone="tiny", width=16, crop_size=64)))
    (tmp_path / "trackers.yaml").write_text(
        "100%: {use: 'vot_samples:Scripted', f3: [w.safetensors, other]}\n"
    )
    given = {"weights": Path("w.safetensors"), "teachers": ("mosse",), "trackers": Path("trackers.yaml")}
    assert guarded(Ini(out=Path("space"), tracker=("T=trast",), **given), "vot_entry") == 0
    ini = ConfigParser(interpolation=None)
    ini.read(tmp_path / "space" / "trackers.ini")
    assert ini.sections() == ["T", "100%"]
    assert [ini[name]["label"] for name in ini.sections()] == ["T", "100%"]
    assert ini["T"]["timeout"] == "600"  # the first answer waits for networks to be loaded
    paths = [Path(shlex.split(ini[name]["command"])[-1]) for name in ini.sections()]
    assert paths == [tmp_path / "space" / "trackers" / f"{name}.json" for name in ini.sections()]
    trast, scripted = map(read_description, paths)
    assert trast.options == {
        "weights": str(tmp_path / "w.safetensors"),
        "teacher": {"mosse": {"use": "mosse"}},
    }
    assert scripted.options == {
        "f3": [str(tmp_path / "w.safetensors"), "other"]
    }  # what is a file, and what is none


def test_the_ini_command_wants_a_tracker(tmp_path, capsys):
    assert guarded(Ini(out=tmp_path / "w"), "vot_entry") == 2
    assert "give --tracker NAME" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_the_ini_command_checks_trackers_first(tmp_path):
    err = StringIO()
    with redirect_stderr(err):
        assert guarded(Ini(out=tmp_path / "w", tracker=("kfc",)), "vot_entry") == 2
    assert "did you mean kcf" in err.getvalue()
    assert not (tmp_path / "w").exists()
