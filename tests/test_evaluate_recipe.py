"""What `trainer.evaluate` knows of how boxes that are there were made."""

import sys
from pathlib import Path

import fake_checkouts
import pytest
import torch

from datasets.command_line import guarded
from datasets.results import write_results
from datasets.synthetic import SyntheticOptions, write_synthetic
from trainer.evaluate.command import Evaluate
from trainer.evaluate.tracker_spec import Defaults, TrackerSpec, parse_trackers, read_trackers


@pytest.fixture
def checkout(tmp_path):
    """A checkout of pysot, and options of its tracker."""
    root = fake_checkouts.write(fake_checkouts.PYSOT, tmp_path / "pysot")
    state = {"head.weight": torch.tensor([[1.0, 2.0]]), "head.bias": torch.zeros(1)}
    state |= {f"norm.{k}": torch.ones(1) for k in ("weight", "bias", "running_mean", "running_var")}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "small.pth")
    return root, {"checkout": str(root), "weights": str(tmp_path / "small.pth")}


def pull(root):
    """Another version of the checkout's code."""
    path = root / "pysot/tracker/tracker_builder.py"
    path.write_text(path.read_text().replace("w + blue", "w - blue"))


def test_boxes_of_a_checkout_are_not_taken_for_those_of_its_new_code(checkout, small_videos, tmp_path, capfd):
    root, options = checkout
    tracker = "S=pysot:small," + ",".join(f"{key}={value}" for key, value in options.items())
    command = Evaluate(
        dataset=(f"synthetic:{small_videos}",), tracker=(tracker,), out=tmp_path / "out", workers=1
    )
    assert guarded(command, "evaluate") == 0
    assert "6 of 6 videos run" in capfd.readouterr().err
    assert guarded(command, "evaluate") == 0
    assert "videos run" not in capfd.readouterr().err
    pull(root)
    assert guarded(command, "evaluate") == 2
    assert (
        "S holds boxes that were made with other options, weights, teachers or code" in capfd.readouterr().err
    )


def test_the_code_of_a_checkout_beside_a_student_counts(checkout):
    root, options = checkout
    spec = TrackerSpec("T", "trainer.trackers:Trast", {"teacher": {"S": {"use": "pysot:small", **options}}})
    before = spec.recipe()
    assert spec.recipe() == before
    pull(root)
    after = spec.recipe()
    assert after["beside"] != before["beside"]
    assert {**after, "beside": before["beside"]} == before


@pytest.mark.parametrize(
    "tracker", ["{use: 'mine:Tracker'}", "{use: trast, weights: w, teacher: {M: {use: 'mine:Tracker'}}}"]
)
def test_the_module_of_a_users_own_tracker_counts(tmp_path, monkeypatch, tracker):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "w").write_bytes(b"1")
    (tmp_path / "mine.py").write_text(
        "class Tracker:\n    def init(self, image, box): pass\n    def update(self, image): pass\n"
    )
    (tmp_path / "y").write_text(f"A: {tracker}".replace("weights: w", f"weights: {tmp_path / 'w'}"))
    (spec,) = read_trackers(tmp_path / "y", Defaults())
    before = spec.recipe()
    assert spec.recipe() == before
    with (tmp_path / "mine.py").open("a") as file:
        file.write("# another\n")
    assert spec.recipe() != before
    (named,) = parse_trackers(("kcf",), Defaults())
    assert not named.recipe()["files"]


@pytest.mark.parametrize("form", ["{M: {use: mdnet, weights: m.pth}}", "['M=mdnet,weights=m.pth']"])
def test_files_of_teachers_count_however_these_are_written(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").write_bytes(b"1")
    (tmp_path / "m.pth").write_bytes(b"1")
    (tmp_path / "y").write_text(f"A: {{use: trasfust, weights: w, teachers: {form}}}")
    (spec,) = read_trackers(tmp_path / "y", Defaults())
    before = spec.recipe()
    assert set(before["files"]) == {"w", "m.pth"}
    (tmp_path / "m.pth").write_bytes(b"2")
    assert spec.recipe() != before


def test_recordings_count_where_a_string_says_their_kind(tmp_path):
    results = tmp_path / "results"
    write_results(results, "ECO", "v", [[1, 2, 3, 4]])
    (tmp_path / "y").write_text(f"A: {{use: trast, weights: w, teacher: 'recorded:{results}/ECO,kind=otb'}}")
    (spec,) = read_trackers(tmp_path / "y", Defaults(kind="otb"))
    before = spec.recipe()
    write_results(results, "ECO", "v", [[1, 2, 3, 5]])
    assert spec.recipe() != before


def test_recordings_in_the_home_folder_count(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_results(tmp_path / "results", "ECO", "v", [[1, 2, 3, 4]])
    spec = TrackerSpec("E", "recorded", {"results": "~/results", "tracker": "ECO"})
    before = spec.recipe()
    write_results(tmp_path / "results", "ECO", "v", [[1, 2, 3, 5]])
    assert spec.recipe() != before


def test_checkpoints_that_are_found_without_being_named_count(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_WEIGHTS", str(tmp_path))
    file = tmp_path / "siamrpn_alex_dwxcorr.pth"
    for place in (
        TrackerSpec("S", "siamrpn", {"variant": "siamrpn_alex_dwxcorr"}),
        TrackerSpec("T", "trainer.trackers:Trast", {"teacher": "siamrpn,variant=siamrpn_alex_dwxcorr"}),
    ):
        file.write_bytes(bytes(26_000_000))  # as large as the checkpoint is at least
        before = place.recipe()
        assert str(file) in before["files"]
        file.write_bytes(bytes(26_000_001))
        assert place.recipe() != before


class Overtaken:
    """A tracker beside which another command writes boxes of the same name."""

    version, needs_images = 1, False

    def __init__(self, recipe: str) -> None:
        self.recipe = Path(recipe)

    def start(self, image, box, task):
        self.recipe.parent.mkdir(parents=True, exist_ok=True)
        self.recipe.write_text("{}")
        self.box = box
        return box

    def track(self, image):
        return self.box


def test_boxes_of_two_commands_do_not_mix(small_videos, tmp_path, capfd):
    recipe = tmp_path / "out/results/synthetic-train/S.json"
    command = Evaluate(
        dataset=(f"synthetic:{small_videos}",),
        tracker=(f"S=test_evaluate_recipe:Overtaken,recipe={recipe}",),
        out=tmp_path / "out",
        workers=1,
    )
    assert guarded(command, "evaluate") == 2
    assert "S holds boxes that were made with other options" in capfd.readouterr().err
    assert recipe.read_text() == "{}"
    assert not list(recipe.parent.rglob("*_001.txt"))


@pytest.mark.parametrize("moved", [False, True])
def test_boxes_of_other_videos_with_the_same_names_are_refused(small_videos, tmp_path, capfd, moved):
    """Of other lengths, or of the same length and elsewhere."""

    def evaluate(root):
        return guarded(
            Evaluate(dataset=(f"synthetic:{root}",), tracker=("mosse",), out=tmp_path / "out", workers=1),
            "evaluate",
        )

    assert evaluate(small_videos) == evaluate(small_videos) == 0
    other = small_videos
    if moved:
        path = sorted((tmp_path / "out").rglob("*_001.txt"))[3]
        x, rest = path.read_text().split(",", 1)
        path.write_text(f"{float(x) + 1000},{rest}")
    else:
        other = tmp_path / "other"
        options = SyntheticOptions(
            videos=3, seed=6, max_length=45, image_size=(160, 120), difficulty=(0.0, 0.5)
        )
        write_synthetic(other, options, workers=1)
    kept = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.txt")}
    capfd.readouterr()
    assert evaluate(other) == 2
    assert "these are of another video of that name" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.txt")} == kept
