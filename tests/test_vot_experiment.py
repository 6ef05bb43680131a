"""VOT's supervised experiment: restarts, its files, and EAO, accuracy and robustness worked out by hand."""

import math
from typing import ClassVar

import numpy as np
import pytest
from evaluation_samples import Still
from hypothesis import given
from hypothesis import strategies as st
from vot_samples import AWAY, IMAGE, TARGET, Scripted, rotated, write_sequence

from datasets import open_dataset
from datasets.errors import DataError
from trainer.evaluate.regions import polygon, read_polygons
from trainer.evaluate.supervised import (
    Run,
    State,
    is_of,
    left_out,
    read_run,
    run_file,
    run_supervised,
    write_run,
)
from trainer.evaluate.vot_scores import (
    INTERVALS,
    Fragment,
    SequenceScore,
    VotScores,
    eao,
    eao_curve,
    score_sequence,
)


def test_a_failure_restarts_the_tracker_five_frames_later(tmp_path):
    write_sequence(tmp_path, "s", 20, [[40 + t, 40, 10, 10] for t in range(20)])
    video = open_dataset(f"vot:{tmp_path}")["s"]
    tracker = Scripted(f4=AWAY, f10=[51, 40, 10, 10], f11=AWAY, f17=[57, 40, 10, 10], f18=AWAY)
    run = run_supervised(tracker, video, read_polygons(tmp_path / "s" / "groundtruth.txt", len(video)), IMAGE)
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


def test_a_region_is_judged_as_its_file_has_it(tmp_path):
    write_sequence(tmp_path, "s", 2, [[40, 40, 10, 10]] * 2)
    video = open_dataset(f"vot:{tmp_path}")["s"]
    truth = read_polygons(tmp_path / "s" / "groundtruth.txt", 2)
    beside = [30, 40, np.nextafter(np.float32(10), np.float32(11)), 10]  # overlaps by a millionth of a pixel
    run = run_supervised(Scripted(f1=beside), video, truth, IMAGE)
    assert run.failures == [1]
    write_run(run_file(tmp_path, "T", "s"), run)
    assert is_of(read_run(run_file(tmp_path, "T", "s"), 2), truth, IMAGE)


def test_a_teacher_left_out_before_a_restart_is_told_after_it(tmp_path):
    """A tracker that is started again has all its teachers back."""

    class Losing(Scripted):
        failed: ClassVar[dict[str, str]] = {}

        def start(self, image, box, task):
            self.failed = {} if self.started else {"kcf": "it broke"}
            return super().start(image, box, task)

    write_sequence(tmp_path, "s", 12, [[40, 40, 10, 10]] * 12)
    truth = read_polygons(tmp_path / "s" / "groundtruth.txt", 12)
    run = run_supervised(Losing(f4=AWAY), open_dataset(f"vot:{tmp_path}")["s"], truth, IMAGE)
    assert run.starts == [0, 9] and run.left_out == {"kcf": "it broke"}


def test_a_rotated_target_starts_the_box_around_it(tmp_path):
    corners = rotated(40, 40, 20, 10, 45)
    write_sequence(tmp_path, "s", 2, [[v for point in corners for v in point]] * 2)
    tracker = Scripted()
    run = run_supervised(
        tracker,
        open_dataset(f"vot:{tmp_path}")["s"],
        read_polygons(tmp_path / "s" / "groundtruth.txt", 2),
        IMAGE,
    )
    half = 15 / math.sqrt(2)
    assert tracker.started[0][1] == pytest.approx([50 - half, 45 - half, 2 * half, 2 * half], abs=1e-3)
    assert not run.failures  # TARGET touches the rotated region


def test_a_tracker_without_images_runs_where_there_are_none(tmp_path):
    write_sequence(tmp_path, "s", 3)
    video = open_dataset(f"vot:{tmp_path}")["s"]
    truth = read_polygons(tmp_path / "s" / "groundtruth.txt", 3)
    for image in (tmp_path / "s" / "color").iterdir():
        image.unlink()
    run = run_supervised(Still(), video, truth, IMAGE)
    assert run.rows == [State.STARTED, polygon(TARGET), polygon(TARGET)]


def test_what_another_tracker_calls_failed_is_no_teacher_left_out():
    tracker = Scripted()
    assert left_out(tracker) == {}
    tracker.failed = True
    assert left_out(tracker) == {}
    tracker.failed = {"kcf": "it broke"}
    assert left_out(tracker) == {"kcf": "it broke"}


def test_runs_are_written_and_read_back(tmp_path):
    rows = [State.STARTED, polygon([1, 2, 3, 4.25]), State.FAILED, State.NOT_RUN]
    path = run_file(tmp_path, "T", "s")
    write_run(path, Run(rows, np.array([0.5, 0.00012345, 0.25, 0])))
    assert read_run(path, 4).seconds.tolist() == [0.5, 0.00012345, 0.25, 0]
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
    path.write_text(
        "1\n0,0,4,0,4,4,0,4\n2\n0\n\n"
    )  # another tracker may give polygons, and end with a blank line
    assert read_run(path, 4).rows[1] == polygon([0, 0, 4, 4])
    for corners in ([0, 0, 4, 0, 4, 4], [0, 0, 4, 0, 5, 2, 4, 4, 0, 4]):  # a triangle, and a pentagon
        path.write_text(f"1\n{','.join(map(str, corners))}\n2\n0\n")
        assert read_run(path, 4).rows[1] == polygon(corners)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n2\n", "2 rows for a sequence of 3 frames"),
        ("1\n2\n7\n", "line 3: '7' is no state"),
        ("1\n1,2,3\n2\n", "line 2: '1,2,3' is no state"),
        ("1\n1,2\n2\n", "line 2: '1,2' is no state"),
        ("1\n1,2,3,4,5,6,7\n2\n", "line 2: '1,2,3,4,5,6,7' is no state"),
        ("1\nx\n2\n", "line 2: 'x' is no state"),
        ("1\n1.5\n2\n", "line 2: '1.5' is no state"),
        ("1\ninf\n2\n", "line 2: 'inf' is no state"),
        ("1\nnan,nan,nan,nan\n2\n", "line 2: 'nan,nan,nan,nan' is no state and no region"),
        ("1\n2\n1,2,3,4\n", "line 3: '1,2,3,4' follows a frame in which the tracker was not running"),
        ("1\n2\n2\n", "line 3: '2' follows a frame in which the tracker was not running"),
        ("1\n0\n1,2,3,4\n", "line 3: '1,2,3,4' follows a frame in which the tracker was not running"),
        ("1,2,3,4\n2\n0\n", "line 1: the first row is '1,2,3,4', not 1"),
    ],
)
def test_rows_that_are_no_run_are_refused(tmp_path, text, words):
    path = tmp_path / "s_001.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_run(path, 3)


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


def test_sequences_count_by_their_lengths_and_failures_by_frame():
    whole = [Fragment(np.ones(60), failed=False)]
    short, long = SequenceScore("a", 100, 0.8, 1, whole, 30), SequenceScore("b", 300, 0.4, 3, whole, math.nan)
    scores = VotScores("T", "vot:x", [short, long], (1, 50))
    expected = {"eao": 1, "accuracy": 0.5, "robustness": 100 * 4 / 400, "failures": (100 + 900) / 400}
    assert scores.values == pytest.approx(expected)
    assert scores.speed == 30


def test_what_lies_outside_the_image_counts_in_no_overlap():
    beyond, inside = polygon([90, 50, 20, 10]), polygon([90, 50, 10, 10])
    run = Run([State.STARTED, *[inside] * 12], np.ones(13))
    assert score_sequence("s", [run], [beyond] * 13, (100, 60)).accuracy == 1
    assert score_sequence("s", [run], [beyond] * 13, (200, 60)).accuracy == 0.5


def test_a_sequences_row_says_what_it_scored():
    (row,) = VotScores("T", "vot:x", [SequenceScore("a", 100, 0.8, 1.5, [], 30)], (1, 50)).rows()
    assert row == {"sequence": "a", "frames": 100, "accuracy": 0.8, "failures": 1.5, "fps": 30}


def test_frames_in_which_a_tracker_did_not_run_are_in_no_speed():
    run = Run([State.STARTED, polygon(TARGET), State.FAILED, State.NOT_RUN], np.array([0.5, 0.25, 0.25, 0]))
    assert scored("s", run).fps == 3


def test_the_intervals_are_those_of_the_challenges():
    assert INTERVALS == {"vot2018": (100, 356), "vot2019": (46, 291)}


def test_eao_curve_worked_out_by_hand():
    lost = Fragment(np.array([0, 1.0, 0.5]), failed=True)  # Φ: 1, 3/4, then (1.5 / n)
    kept = Fragment(np.array([0, 0.5, 0.5, 0.5]), failed=False)  # 1/2 up to its end
    long = Fragment(np.array([0, 1.0, 1.0, 1.0, 1.0]), failed=False)
    curve = eao_curve([lost, kept, long])
    wanted = [0, (1 + 0.5 + 1) / 3, (0.75 + 0.5 + 1) / 3, (0.5 + 0.5 + 1) / 3, (1.5 / 4 + 1) / 2]
    assert curve == pytest.approx(wanted)
    assert eao(curve, (1, 3)) == pytest.approx(np.mean(wanted[1:4]))
    assert eao(curve, (3, 99)) == pytest.approx(np.mean(wanted[3:]))
    assert eao(curve, (4, 99)) == pytest.approx(wanted[4])
    with pytest.raises(ValueError, match="--interval LOW HIGH"):
        eao(curve, (5, 99))


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
