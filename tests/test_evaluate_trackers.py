"""Which trackers are evaluated: wrong options, a file of trackers, and what their boxes were made with."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import REPOSITORY
from evaluation_samples import run

from datasets.errors import DataError
from datasets.results import write_results
from teachers import registry
from trainer.evaluate.tracker_spec import Defaults, parse_trackers, read_trackers
from trainer.student import Student, StudentOptions, save_student


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give --tracker NAME"),
        ({"tracker": ("tras",)}, "Give its weights"),
        ({"tracker": ("trast",), "weights": Path("w")}, "Name them: --teachers"),
        ({"tracker": ("kcf",), "weights": Path("w")}, "--weights w: only tras"),
        ({"tracker": ("tras",), "weights": Path("w"), "teachers": ("kcf",)}, "--teachers kcf: only trast"),
        ({"tracker": ("kfc",)}, "did you mean kcf"),
        ({"tracker": ("K=kcf,paddding=2",)}, "did you mean padding"),
        ({"tracker": ("a/b",)}, "folder"),
        ({"tracker": ("a\\b=kcf",)}, "folder"),
        (
            {"tracker": ("../x=kcf",)},
            "Give one without / and \\ that does not begin with a dot, as in NAME=kcf",
        ),
        ({"tracker": (".x=kcf",)}, "as in NAME=kcf"),
        ({"tracker": ("kcf",), "trackers": "y"}, "two trackers are called kcf"),
        ({"tracker": ("kcf",), "workers": 0}, "--workers 0"),
        ({"tracker": ("kcf",), "report": Path(__file__)}, "this is a file. Give a folder"),
        ({"results": ("r", "r")}, "2 --results for 1 --dataset"),
        ({"results": ("r",), "weights": Path("w")}, "leave --trackers, --teachers and --weights out"),
        ({"tracker": ("kcf",), "experiment": "supervised"}, "VOT's"),
        ({"tracker": ("kcf",), "interval": (5, 2)}, "--interval 5 2"),
    ],
)
def test_wrong_options_end_as_one_sentence(small_videos, tmp_path, options, words):
    if options.get("trackers") == "y":
        (tmp_path / "y").write_text("kcf: {use: kcf}\n")
        options = {**options, "trackers": tmp_path / "y"}
    if "results" in options:
        options = {**options, "results": tuple(map(Path, options["results"]))}
    code, out, err = run(
        dataset=(f"synthetic:{small_videos}",), out=tmp_path / "out", **{"workers": 1, **options}
    )
    assert (code, out) == (2, "")
    assert words in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{use: tras, weights: nowhere}", "tracker B: .*weights = 'nowhere'"),
        ("{use: trast, weights: y, teacher: {K: {use: kcf}, M: {use: mosse}}}", "one teacher, not 2: K, M"),
        ("{use: trast, weights: y, teacher: {}}", "one teacher, not 0"),
        ("{use: trasfust, weights: y, teachers: {K: {use: kfc}}}", "tracker B: .*did you mean kcf"),
        ("{use: trasfust, weights: y, teachers: {K: {use: kcf, paddin: 2}}}", "did you mean padding"),
        ("{use: trasfust, weights: y, teachers: 5}", "write a list"),
        (
            "{use: trast, wieghts: y, teacher: kcf}",
            "B: wieghts is no option of trast, did you mean weights[?]",
        ),
        ("{use: trast, weights: y, techer: kcf}", "B: techer is no option of trast, did you mean teacher[?]"),
        (
            "{use: tras, quite: 1}",
            "B: quite is no option of tras[.] tras holds a student[.] Give its weights",
        ),
        ("{use: kcf, paddin: 2}", "tracker B: .*did you mean padding"),
    ],
)
def test_nothing_is_run_before_all_trackers_are_seen_to_be_right(
    small_videos, tmp_path, monkeypatch, entry, words
):
    monkeypatch.chdir(tmp_path)
    Path("y").write_text(f"A: {{use: 'evaluation_samples:Still'}}\nB: {entry}\n")
    code, out, err = run(trackers=Path("y"), dataset=(f"synthetic:{small_videos}",), out=Path("o"), workers=1)
    assert (code, out) == (2, "")
    assert re.search(words, err)
    assert not Path("o").exists()


def test_trackers_are_read_from_a_file(tmp_path):
    path = tmp_path / "trackers.yaml"
    path.write_text(
        "A: {use: trast, weights: w1, teacher: kcf}\nB: {use: trasfust}\nC: {use: tras}\nkcf: {}\n"
    )
    a, b, c, kcf = read_trackers(path, Defaults(Path("w2"), ("kcf", "K2=kcf,padding=2"), "otb"))
    assert (a.name, a.options) == ("A", {"weights": "w1", "teacher": "kcf"})
    assert b.options == {
        "weights": "w2",
        "teachers": {"kcf": {"use": "kcf"}, "K2": {"use": "kcf", "padding": 2}},
    }
    assert c.options == {"weights": "w2"}
    assert (kcf.use, kcf.options) == ("kcf", {})
    for text, words in {"- kcf": "not a mapping", "a: kcf": "a is 'kcf'", "{": "not YAML"}.items():
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_trackers(path, Defaults())


def test_what_a_tracker_was_made_with_knows_its_files(tmp_path):
    weights = tmp_path / "w"
    weights.write_bytes(b"1")
    (spec,) = parse_trackers(("tras",), Defaults(weights))
    before = spec.recipe()
    weights.write_bytes(b"2")
    assert spec.recipe() != before
    assert spec.recipe()["options"] == {"weights": str(weights)}
    write_results(tmp_path / "results", "ECO", "v", [[1, 2, 3, 4]])
    (spec,) = parse_trackers(
        ("trast",), Defaults(weights, (f"recorded:{tmp_path / 'results' / 'ECO'}",), "otb")
    )
    assert spec.options["teacher"]["ECO"]["kind"] == "otb"
    before = spec.recipe()
    write_results(tmp_path / "results", "Other", "v", [[1, 2, 3, 5]])
    assert spec.recipe() == before
    write_results(tmp_path / "results", "ECO", "v", [[1, 2, 3, 5]])
    assert spec.recipe() != before


def wider(path):
    """A student's file whose tensors are not of the size that it says."""
    narrow, wide = (Student(StudentOptions(backbone="tiny", width=w, crop_size=32)) for w in (8, 16))
    wide.options = narrow.options
    save_student(path, wide)


def others(path):
    """A network of somebody else's."""
    state = torch.nn.Conv2d(3, 4, 3).state_dict()
    torch.save(state, path) if path.suffix == ".pth" else safetensors.torch.save_file(state, path)


@pytest.mark.parametrize(
    ("write", "name", "words"),
    [
        (wider, "w.safetensors", "does not fit Student"),
        (others, "w.safetensors", "does not say which student it holds"),
        (others, "w.pth", "no checkpoint of the paper's authors"),
    ],
)
@pytest.mark.parametrize("tracker", ["tras", "trasfust"])
def test_weights_of_another_network_are_one_sentence(small_videos, tmp_path, write, name, words, tracker):
    write(tmp_path / name)
    code, out, err = run(
        tracker=(tracker,),
        weights=tmp_path / name,
        teachers=("mosse",) if tracker == "trasfust" else (),
        dataset=(f"synthetic:{small_videos}",),
        out=tmp_path / "out",
        workers=1,
    )
    assert (code, out) == (2, "")
    assert err.startswith(f"evaluate: {tmp_path / name}: ") and words in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_one_sentence_of_several_processes(small_videos, tmp_path):
    wider(tmp_path / "w.safetensors")
    command = [sys.executable, "-m", "trainer.evaluate", "--tracker", "tras", "--workers", "2"]
    command += ["--weights", str(tmp_path / "w.safetensors"), "--dataset", f"synthetic:{small_videos}"]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    said = f"python -m trainer.evaluate: {tmp_path / 'w.safetensors'}: this checkpoint does not fit Student"
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Weighted:
    """Gives the box that its weights hold, and has them replaced when it is built, or at the first frame."""

    version, needs_images = 1, False

    def __init__(self, weights: str, replaced: str) -> None:
        self.weights, self.replaced = Path(weights), replaced
        self.box = np.array(self.weights.read_text().split(), np.float32)
        self.replace("built")

    def replace(self, when):
        if self.replaced == when:
            self.weights.write_text("5 6 7 8")

    def start(self, image, box, task):
        self.replace("tracking")
        return self.box

    def track(self, image):
        return self.box


def replacing(small_videos, tmp_path, when):
    (tmp_path / "w").write_text("1 2 3 4")
    return run(
        tracker=(f"W=test_evaluate_trackers:Weighted,weights={tmp_path / 'w'},replaced={when}",),
        dataset=(f"synthetic:{small_videos}",),
        out=tmp_path / "out",
        workers=1,
    )


def test_weights_that_are_replaced_while_a_tracker_runs(small_videos, tmp_path):
    code, _, err = replacing(small_videos, tmp_path, "tracking")
    assert code == 0, err
    (recipe,) = (tmp_path / "out" / "results").rglob("W.json")
    for path in recipe.parent.rglob("*_001.txt"):
        assert np.loadtxt(path, delimiter=",").tolist()[1] == [1, 2, 3, 4]
    (tmp_path / "w").write_text("1 2 3 4")
    (spec,) = parse_trackers(
        (f"W=test_evaluate_trackers:Weighted,weights={tmp_path / 'w'},replaced=tracking",), Defaults()
    )
    assert json.loads(recipe.read_text()) == spec.recipe()


def test_weights_that_are_replaced_before_a_tracker_has_read_them(small_videos, tmp_path):
    code, _, err = replacing(small_videos, tmp_path, "built")
    assert code == 2
    assert f"{tmp_path / 'w'} changed while W was being run. Put it back" in err
    assert not list((tmp_path / "out").rglob("W*"))


def test_what_a_tracker_was_made_with_knows_the_versions_of_the_teachers_beside_it(tmp_path, monkeypatch):
    (tmp_path / "w").write_bytes(b"1")
    (spec,) = parse_trackers(("trasfust",), Defaults(tmp_path / "w", ("kcf", "fast=mosse")))
    before = spec.recipe()
    assert before["beside"] == {
        name: registry.version_of(use, {}) for name, use in (("kcf", "kcf"), ("fast", "mosse"))
    }
    monkeypatch.setattr("teachers.kcf.Kcf.version", 99)
    assert spec.recipe() != before
