"""Figure 6 where videos are missing, and plots of two results folders."""

import json

import pytest

from datasets.command_line import guarded
from datasets.results import write_results
from trainer.evaluate.command import Evaluate

BOXES = [[1, 2, 30, 40]] * 3


@pytest.fixture
def options(small_videos, tmp_path):
    """To score a tracker that was run on two of six videos, the second of which a kill left without its boxes."""
    for number in (1, 2):
        video = f"Synthetic_Train_{number:06d}"
        write_results(tmp_path / "r", "T", video, BOXES)
        chosen = tmp_path / "r" / "T" / video / f"{video}_chosen.txt"
        chosen.write_text("given\nstudent\nkcf\n")
    (tmp_path / "r" / "T" / video / f"{video}_001.txt").unlink()
    return {"dataset": (f"synthetic:{small_videos}",), "results": (tmp_path / "r",), "tracker": ("T",)}


def test_fractions_leave_out_videos_that_were_not_run_where_they_are_told_to(options, capsys):
    assert guarded(Evaluate(**options, fractions=True), "evaluate") == 2
    said = capsys.readouterr().err
    assert "Synthetic_Train_000002_001.txt: there is no such file, and so no record of who gave" in said
    assert "--missing omit leaves out" in said
    command = Evaluate(**options, fractions=True, missing="omit", format="json")
    assert guarded(command, "evaluate") == 0
    (share,) = json.loads(capsys.readouterr().out)
    assert (share["frames"], share["shares"]) == (2, {"kcf": 0.5, "student": 0.5})
    assert list(share["shares"]) == ["kcf", "student"]  # equal ones by name, not as they came


def test_fractions_of_no_video_are_refused(options, tmp_path, capsys):
    (tmp_path / "r" / "T" / "Synthetic_Train_000001" / "Synthetic_Train_000001_001.txt").unlink()
    assert guarded(Evaluate(**options, fractions=True, missing="omit"), "evaluate") == 2
    said = capsys.readouterr().err
    assert "--fractions is for trackers that choose" in said and "--missing omit" not in said


def test_plots_of_two_folders_of_results_do_not_replace_each_other(options, tmp_path, capsys):
    twice = {name: value * 2 for name, value in options.items() if name != "tracker"}
    assert guarded(Evaluate(**twice, format="json", report=tmp_path / "report"), "evaluate") == 2
    assert (
        "two --dataset would share one folder of plots: score them with a --report each"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "report").exists()
