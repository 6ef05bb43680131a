"""The figures of the value head, against plain loops; the command on procedural videos."""

import json
import shutil

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from evaluation_samples import write_got10k
from hypothesis import given
from hypothesis import strategies as st

from datasets.command_line import run_only_command
from datasets.results import write_results
from datasets.spec import open_dataset
from trainer.judge import Judge, _show
from trainer.judgement import Picks, Values, return_ahead, return_rest, rewards
from trainer.student import Student, StudentOptions, save_student
from trainer.trackers.choice import Choice

pytestmark = pytest.mark.usefixtures("one_thread")

TRUTH = np.array([10.0, 10, 20, 20], np.float32)


def moved(pixels):
    return TRUTH + np.array([pixels, 0, 0, 0], np.float32)


STEPS = st.lists(st.integers(-10, 10).map(lambda n: n / 10), max_size=90).map(np.array)


@given(STEPS, st.integers(0, 40), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_the_rest_of_the_rewards(r, period, gamma):
    expected = []
    for t in range(1, len(r) + 1):
        end = t
        while end < len(r) and not (period and (end + 1) % period == 0):
            end += 1
        expected.append(sum(gamma**i * reward for i, reward in enumerate(r[t - 1 : end])))
    np.testing.assert_allclose(return_rest(r, period, gamma), expected, atol=1e-9)


@given(STEPS, st.integers(1, 40))
def test_the_rewards_ahead(r, horizon):
    expected = [r[t : t + horizon].sum() if t + horizon <= len(r) else np.nan for t in range(len(r))]
    np.testing.assert_allclose(return_ahead(r, horizon), expected, atol=1e-9)


def test_rewards_are_the_papers():
    boxes = [TRUTH, moved(5), moved(15)]
    np.testing.assert_allclose(rewards(boxes, [TRUTH] * 3), [1.0, 0.2, -1.0])


def test_values_that_are_the_return_correlate_wholly():
    r = np.random.default_rng(0).choice([-1, 0, 0.5, 1], 80)
    rest, ahead = Values(32, 8), Values(32, 8)
    counted = np.ones(80, bool)
    rest.add(2 * return_rest(r, 32) + 1, r, counted)
    discounted = Values(32, 8, 0.5)
    discounted.add(return_rest(r, 32, 0.5), r, counted)
    assert discounted.summary()["pearson_rest"] == pytest.approx(1)
    assert rest.summary()["pearson_rest"] == pytest.approx(1)
    assert rest.summary()["spearman_rest"] == pytest.approx(1)
    assert rest.summary()["pearson_ahead"] < 0.9
    ahead.add(-np.nan_to_num(return_ahead(r, 8)), r, counted)
    assert ahead.summary()["pearson_ahead"] == pytest.approx(-1)
    assert ahead.summary()["frames"] == 80


def test_frames_without_a_target_count_for_nothing():
    r, values = np.array([1.0, -1, 0.5, 1]), [1.0, 99, 2, 3]
    there = Values(0, 1)
    there.add(values, r, np.array([True, False, True, True]))
    expected = Values(0, 1)
    expected.add([1.0, 2, 3], r[[0, 2, 3]], np.ones(3, bool))
    assert there.summary() == expected.summary()


def test_what_does_not_vary_has_no_correlation():
    values = Values(32, 4)
    assert values.summary()["pearson_rest"] is None and values.summary()["mean_value"] is None
    values.add([1.0] * 5, np.arange(5.0), np.ones(5, bool))
    assert values.summary()["pearson_reward"] is None


def test_frames_near_the_end_count_in_all_but_the_rewards_ahead():
    values = Values(0, 3)
    values.add([0.0, 1, 2, 9], np.array([0.0, 1, 2, 9]), np.ones(4, bool))
    found = values.summary()
    assert found["pearson_reward"] == pytest.approx(1) and found["pearson_ahead"] == pytest.approx(1)
    short = Values(0, 5)
    short.add([0.0, 1, 2, 9], np.array([0.0, 1, 2, 9]), np.ones(4, bool))
    assert short.summary()["pearson_reward"] == pytest.approx(1)
    assert short.summary()["pearson_ahead"] is None


def test_picks():
    near, far, off = moved(1), moved(5), moved(50)
    choices = [
        Choice("a", {}, {"a": near, "b": far}),  # the better one
        Choice("b", {}, {"a": near, "b": far}),  # the worse one
        Choice("a", {}, {"a": near, "b": near}),  # nothing to decide
        Choice("b", {}, {"a": far, "b": off}),  # no target
        Choice("a", {}, {"a": far}),  # b has failed
    ]
    picks = Picks(margin=0.05)
    picks.add(choices, [TRUTH] * 5, np.array([True, True, True, False, True]))
    high, low = 19 / 21, 15 / 25
    assert picks.summary() == {
        "frames": 4,
        "decisive": 2,
        "picks_best": 0.5,
        "by_chance": 0.5,
        "iou_chosen": pytest.approx((high + low + high + low) / 4),
        "iou_best": pytest.approx((3 * high + low) / 4),
        "iou_random": pytest.approx((2 * (high + low) / 2 + high + low) / 4),
        "iou": {"a": pytest.approx((3 * high + low) / 4), "b": pytest.approx((2 * low + high) / 3)},
        "fraction": {"a": 0.6, "b": 0.4},
    }


def test_the_best_pick_is_the_best_itself_and_counts_beyond_the_margin_alone():
    whole, half, quarter = TRUTH, TRUTH * [1, 1, 1, 0.5], TRUTH * [1, 1, 0.5, 0.5]
    picks = Picks(margin=0.5)
    picks.add(
        [
            Choice("b", {}, {"a": whole, "b": half}),  # as far apart as the margin
            Choice("b", {}, {"a": whole, "b": half, "c": quarter}),  # as near the best as that
        ],
        [TRUTH] * 2,
        np.ones(2, bool),
    )
    assert (picks.decisive, picks.best) == (1, 0)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(2)
    save_student(tmp_path / "s.safetensors", Student(StudentOptions(backbone="tiny", width=32, crop_size=32)))
    return tmp_path / "s.safetensors"


def judge(capsys, *arguments):
    code = run_only_command(Judge, "python -m trainer.judge", [str(a) for a in arguments])
    return code, capsys.readouterr()


def test_the_command(small_videos, weights, capsys):
    dataset = f"got10k:{small_videos}"
    given = ["--weights", weights, "--dataset", dataset, "--teachers", "mosse", "medianflow"]
    before = torch.get_num_threads()
    code, printed = judge(capsys, *given, "--threads", 1, "--json")
    assert (code, torch.get_num_threads()) == (0, 1)
    torch.set_num_threads(before)
    figures = json.loads(printed.out)
    videos = list(open_dataset(dataset))
    frames = sum(len(video) for video in videos)
    present = int(sum((~video.absent[1:]).sum() for video in videos))
    assert (figures["videos"], figures["frames"]) == (6, frames)
    assert set(figures["values"]) == {"student", "mosse", "medianflow"}
    assert {row["frames"] for row in figures["values"].values()} == {present}
    assert set(figures["picks"]) == {"trasfust", "trast mosse", "trast medianflow"}
    for row in figures["picks"].values():
        assert row["frames"] == present
        assert row["iou_random"] <= row["iou_best"] and row["iou_chosen"] <= row["iou_best"] + 1e-9
        assert sum(row["fraction"].values()) == pytest.approx(1)
    code, printed = judge(capsys, *given)
    assert code == 0 and "pearson_rest" in printed.out and "trasfust took its boxes from" in printed.out


def test_the_printed_tables_are_whole(capsys):
    names = ["a-teacher-with-a-rather-long-name", "[red]", *(f"teacher-number-{n}" for n in range(5))]
    values = Values(32, 16)
    values.add(np.zeros(3), np.ones(3), np.ones(3, bool))
    picks = {name: Picks().summary() for name in names}
    figures = {"dataset": "otb:/data/[OTB]", "videos": 1, "frames": 4, "picks": picks}
    _show({**figures, "values": {name: values.summary() for name in names}})
    shown = capsys.readouterr().out
    assert "otb:/data/[OTB]: 1 videos" in shown
    assert sum(all(name in line for name in names) for line in shown.splitlines()) == 2
    assert "…" not in shown


def test_recorded_results_are_judged_without_running_anybody(small_videos, weights, tmp_path, capsys):
    dataset = open_dataset(f"got10k:{small_videos}")
    names = list(dataset.names)[:2]
    for name in names:
        truth = dataset[name].ground_truth
        write_results(tmp_path / "results", "Perfect", name, truth)
        write_results(tmp_path / "results", "Lost", name, truth + np.float32([500, 0, 0, 0]))
    given = ["--weights", weights, "--dataset", f"got10k:{small_videos}", "--results", tmp_path / "results"]
    given += ["--teachers", "Perfect", "Lost"]
    code, printed = judge(capsys, *given, "--videos", *names, "--json")
    assert code == 0
    figures = json.loads(printed.out)
    perfect, lost = (figures["values"][name] for name in ("Perfect", "Lost"))
    assert (perfect["mean_reward"], lost["mean_reward"]) == pytest.approx((0.9, -1))
    assert perfect["mean_value"] != lost["mean_value"]
    assert figures["picks"]["trast Perfect"]["iou"]["Perfect"] > 0.99
    assert figures["picks"]["trast Lost"]["iou"]["Lost"] == 0
    picks = figures["picks"]["trasfust"]
    assert (
        picks["iou"]["Perfect"] > 0.99 and picks["iou"]["Lost"] == 0 and picks["decisive"] == picks["frames"]
    )
    assert picks["picks_best"] == pytest.approx(picks["fraction"]["Perfect"])
    code, again = judge(capsys, *given, "--videos", *names, *names, "--json")
    assert (code, again.out) == (0, printed.out)
    code, printed = judge(capsys, *given)
    assert code == 2 and "no result for" in printed.err
    code, printed = judge(capsys, *given[:6])
    assert code == 2 and "name trackers of it" in printed.err
    code, printed = judge(capsys, *given, "--videos", "nobody")
    assert code == 2 and "there is no video nobody" in printed.err


def test_a_frames_absence_is_its_own(weights, tmp_path, capsys):
    """Of eight frames the target is absent in frame 3; the teacher loses it in 3 and 5 and has it else."""
    truth = np.tile(TRUTH, (8, 1))
    boxes = truth + np.float32([[300 if t in (3, 5) else 0, 0, 0, 0] for t in range(8)])
    write_got10k(tmp_path, "val", {"v": truth})
    (tmp_path / "val" / "v" / "absence.label").write_text("0\n0\n0\n1\n0\n0\n0\n0\n")
    write_results(tmp_path / "r", "T", "v", boxes)
    given = ["--weights", weights, "--dataset", f"got10k:{tmp_path}:val", "--results", tmp_path / "r"]
    code, printed = judge(capsys, *given, "--teachers", "T", "--horizon", 4, "--json")
    assert code == 0, printed.err
    figures = json.loads(printed.out)
    assert figures["values"]["T"]["frames"] == figures["picks"]["trast T"]["frames"] == 6
    assert figures["values"]["T"]["mean_reward"] == pytest.approx((5 * 1 - 1) / 6)
    assert figures["picks"]["trast T"]["iou"]["T"] == pytest.approx(5 / 6)
    # The four rewards from the frames 1, 2 and 4 on: 3, 1 and 2.
    assert figures["values"]["T"]["pearson_ahead"] is not None
    code, printed = judge(capsys, *given, "--teachers", "T", "--horizon", 8, "--json")
    assert (code, json.loads(printed.out)["values"]["T"]["pearson_ahead"]) == (0, None)


def test_a_teacher_that_fails_is_judged_by_the_frames_up_to_there(weights, tmp_path, capsys, monkeypatch):
    """The target jumps away after the failure; before it the teacher, which never moves, had it."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests"))
    truth = np.array([moved(0)] * 3 + [moved(40)] * 6)
    write_got10k(tmp_path, "val", {"v1": truth})
    (tmp_path / "val" / "v1" / "absence.label").write_text("0\n1\n" + "0\n" * 7)
    given = ["--weights", weights, "--dataset", f"got10k:{tmp_path}:val", "--json", "--teachers"]
    code, printed = judge(capsys, *given, "odd_teachers:Raising", "odd_teachers:Still")
    assert code == 0 and "trasfust went on without odd_teachers:Raising" in printed.err
    values = json.loads(printed.out)["values"]
    failed, other = values["odd_teachers:Raising"], values["odd_teachers:Still"]
    assert (failed["frames"], failed["mean_reward"]) == (1, 1)  # frame 2
    assert (other["frames"], other["mean_reward"]) == (7, pytest.approx((1 - 6) / 7))


def test_the_options_reach_the_figures(small_videos, weights, tmp_path, capsys):
    dataset = open_dataset(f"got10k:{small_videos}")
    name = dataset.names[0]
    write_results(tmp_path / "r", "Perfect", name, dataset[name].ground_truth)
    write_results(tmp_path / "r", "Lost", name, dataset[name].ground_truth + np.float32([500, 0, 0, 0]))
    given = ["--weights", weights, "--dataset", f"got10k:{small_videos}", "--results", tmp_path / "r"]
    given += ["--teachers", "Perfect", "Lost", "--videos", name, "--json"]
    one, other = (
        json.loads(judge(capsys, *given, *more)[1].out)
        for more in (("--gamma", 0), ("--margin", 1, "--period", 1))
    )
    own = one["values"]["student"]
    assert own["pearson_rest"] == own["pearson_reward"] is not None
    assert one["picks"]["trasfust"]["decisive"] > 30 and other["picks"]["trasfust"]["decisive"] == 0
    # The LSTM forgets at every update.
    forgetful = other["values"]["student"]
    assert own["mean_value"] != forgetful["mean_value"]
    assert forgetful["pearson_rest"] == forgetful["pearson_reward"] is not None


def test_a_video_that_nobody_can_begin_is_told_and_the_others_are_judged(
    small_videos, weights, tmp_path, capsys
):
    shutil.copytree(small_videos, tmp_path / "videos")
    dataset = open_dataset(f"got10k:{tmp_path / 'videos'}")
    first, second = dataset.names[:2]
    path = tmp_path / "videos" / "train" / first / "groundtruth.txt"
    path.write_text("-500,-500,10,10\n" + path.read_text().split("\n", 1)[1])
    given = [
        "--weights",
        weights,
        "--dataset",
        f"got10k:{tmp_path / 'videos'}",
        "--teachers",
        "mosse",
        "--json",
    ]
    code, printed = judge(capsys, *given, "--videos", first, second)
    assert code == 1
    assert f"tras, trasfust, trast mosse failed on {first}: video {first}: the first box" in printed.err
    code, alone = judge(capsys, *given, "--videos", second)
    assert (code, alone.out) == (0, printed.out)
    code, printed = judge(capsys, *given, "--videos", first)
    assert code == 1 and json.loads(printed.out)["frames"] == 0
    code, printed = judge(capsys, *given[:-1], "--videos", first)
    assert code == 1 and "0 videos, 0 frames" in printed.out


def test_a_tracker_that_loses_all_teachers_is_out_of_that_video_alone(
    small_videos, weights, capsys, monkeypatch
):
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests"))
    names = [name for name in open_dataset(f"got10k:{small_videos}").names if int(name[-1]) % 2][:1]
    given = ["--weights", weights, "--dataset", f"got10k:{small_videos}", "--videos", *names, "--json"]
    code, printed = judge(capsys, *given, "--teachers", "odd_teachers:Raising")
    figures = json.loads(printed.out)
    assert code == 1 and "trasfust failed on" in printed.err and "no teacher is left" in printed.err
    assert "trast odd_teachers:Raising went on without odd_teachers:Raising on" in printed.err
    assert figures["values"]["student"]["frames"] > 30
    assert figures["picks"]["trasfust"]["frames"] == 0
    assert figures["picks"]["trast odd_teachers:Raising"]["frames"] > 30
    code, printed = judge(capsys, *given, "--teachers", "odd_teachers:Raising", "mosse")
    assert code == 0 and "trasfust went on without odd_teachers:Raising on" in printed.err


def test_mistakes(small_videos, weights, tmp_path, capsys):
    given = {"--weights": weights, "--dataset": f"got10k:{small_videos}", "--teachers": "mosse"}
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "v.txt").write_text("1,2,3,4\n" * 3)
    for change, message in [
        ({"--horizon": "0"}, "at least one frame"),
        ({"--margin": "nan"}, "--margin nan"),
        ({"--gamma": "1.01"}, "--gamma 1.01"),
        ({"--dataset": f"annotations:{tmp_path}/boxes"}, "there are annotations but no images"),
        ({"--teachers": "student=mosse"}, "cannot be called 'student'"),
        ({"--teachers": "moose"}, "mosse"),
        ({"--dataset": f"got10k:{tmp_path}/none"}, "no such folder"),
        ({"--weights": tmp_path / "none.safetensors"}, "none.safetensors"),
    ]:
        options = [part for pair in {**given, **change}.items() for part in pair]
        code, printed = judge(capsys, *options)
        assert code == 2 and message in printed.err, change
