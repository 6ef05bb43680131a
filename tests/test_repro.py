"""`dvc repro` from end to end, in a folder of its own, on procedural videos with real trackers."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY

from datasets.transfer.validate import validate

PARAMS = {
    "dataset": {"kind": "synthetic", "root": "data/synthetic", "split": "train"},
    "synthetic": {
        "videos": 5,
        "seed": 3,
        "max_length": 48,
        "image_size": [160, 120],
        "difficulty": [0.2, 0.9],
    },
    "teachers": {"kcf": {}, "medianflow": {}},
    "track": {"stop_below": 0.3},
    "select": {"betas": [0.3, 0.5]},
    "pack": {"pixels": "region"},
    "executor": {"workers": 2},
}


class Project:
    """A user's copy of the project's dvc.yaml and settings, with parameters of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.dvc("init", "--no-scm", "--quiet")
        shutil.copy(REPOSITORY / "dvc.yaml", folder)
        shutil.copy(REPOSITORY / ".dvcignore", folder)
        shutil.copy(REPOSITORY / ".dvc/config", folder / ".dvc/config")
        self.dvc("config", "core.no_scm", "true")
        shutil.copytree(REPOSITORY / ".dvc/plots", folder / ".dvc/plots")
        self.write(PARAMS)

    def write(self, document):
        (self.folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def dvc(self, *arguments, check=True):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": path, "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def repro(self, document=None):
        """Run `dvc repro` and give the names of the stages that ran."""
        if document is not None:
            self.write(document)
        said = self.dvc("repro")
        return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage '")}, said

    def outputs(self):
        made = [
            *self.folder.glob("data/*.h5"),
            *self.folder.glob("data/*/*.h5"),
            *self.folder.glob("report/*"),
        ]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(made)
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("repro") / "first")
    ran, _ = project.repro()
    assert ran == {"index", "track@kcf", "track@medianflow", "select", "pack", "stats", "report"}
    return project


def test_every_set_is_there_and_valid(project):
    sets = sorted(path for path in project.folder.glob("data/transfer/*.h5") if path.name != "frames.h5")
    assert [path.name for path in sets] == sorted(
        f"{p}-{b}.h5" for p in ("P", "kcf", "medianflow") for b in (0.3, 0.5)
    )
    assert [problem for path in sets for problem in validate(path)] == []


def test_table_1_metrics_plots_and_report_are_there(project):
    metrics = json.loads(project.dvc("metrics", "show", "--json"))
    shown = metrics[""]["data"]["report/metrics.json"]["data"]
    assert {"kcf", "medianflow", "pool"} <= set(shown)
    assert (
        shown["pool"]["0.3"]["trajectories"]
        >= max(shown[t]["0.3"]["trajectories"] for t in ("kcf", "medianflow"))
        > 0
    )
    project.dvc("plots", "show", "--out", "plots")
    assert (project.folder / "plots/index.html").stat().st_size > 10_000
    assert "<table" in (project.folder / "report/index.html").read_text()


def test_a_second_run_does_nothing(project):
    ran, said = project.repro()
    assert ran == set()
    assert "up to date" in said


def test_the_cache_links_and_does_not_double_the_disk(project):
    for path in [*project.folder.glob("data/*.h5"), *project.folder.glob("data/transfer/*.h5")]:
        assert path.stat().st_nlink == 2, path


def test_another_clone_makes_the_same_bytes(project, tmp_path):
    other = Project(tmp_path / "second")
    other.repro({**PARAMS, "executor": {"workers": 1}})
    assert other.outputs() == project.outputs()


def test_changing_beta_tracks_nothing(project):
    ran, _ = project.repro({**PARAMS, "select": {"betas": [0.4, 0.6]}})
    assert ran == {"select", "pack", "stats", "report"}
    project.repro(PARAMS)


def test_changing_one_teachers_options_tracks_that_teacher_only(project):
    before = project.outputs()
    ran, _ = project.repro({**PARAMS, "teachers": {"kcf": {"padding": 1.6}, "medianflow": {}}})
    assert {stage for stage in ran if stage.startswith(("index", "track"))} == {"track@kcf"}
    project.repro(PARAMS)
    assert project.outputs() == before


def test_changing_the_executor_runs_nothing(project):
    ran, _ = project.repro({**PARAMS, "executor": {"workers": 1}})
    assert ran == set()


def test_a_mistake_in_the_parameters_stops_before_any_stage_with_a_message(project):
    said = project.dvc("repro", "--dry", check=False)
    assert "up to date" in said
    project.write({**PARAMS, "select": {"betas": [0.1]}})
    said = project.dvc("repro", check=False)
    assert "β = 0.1" in said
    assert "set track.stop_below to 0.1" in said
    assert "Traceback" not in said
    project.write(PARAMS)
