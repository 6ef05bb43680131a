"""Tables of scores: which numbers are marked, speeds, what is unknown, and the four ways to print them."""

import json

import numpy as np
import pytest

from trainer.evaluate.fractions import Fractions
from trainer.evaluate.protocol import PROTOCOLS
from trainer.evaluate.scores import score
from trainer.evaluate.tables import as_json, as_latex, as_table, fractions_table, grid, per_sequence
from trainer.evaluate.truth import Truth
from trainer.evaluate.vot_scores import Fragment, SequenceScore, VotScores


def vot(tracker, accuracy, failures, fps=float("nan"), spec="vot:x", frames=100):
    """A tracker on a challenge of one sequence: EAO 1, robustness its failures in 100 frames."""
    whole = [Fragment(np.ones(60), failed=False)]
    return VotScores(tracker, spec, [SequenceScore("s", frames, accuracy, failures, whole, fps)], (1, 50))


def got10k(tracker, counted):
    """A tracker that finds the target in the first and the third of four frames, of which those told count."""
    truth = np.tile(np.float32([10, 10, 20, 20]), (4, 1))
    found = truth + np.float32([[0, 0, 0, 0], [40, 0, 0, 0], [0, 0, 0, 0], [40, 0, 0, 0]])
    of = Truth(
        "got10k:G",
        PROTOCOLS["got10k"],
        ["a"],
        np.array([4]),
        truth,
        np.array(counted),
        np.float64([[80, 60]]),
    )
    return score(tracker, of, [[found]])


def test_the_best_and_the_second_are_marked_by_what_is_shown():
    # A is better where it is higher, R where it is lower. 0.7001 and 0.6999 are both shown as 0.700.
    found = grid([vot("a", 0.7001, 3), vot("b", 0.6999, 1), vot("c", 0.5, 2), vot("d", 0.4, 9)])
    assert found.titles == ["EAO", "A", "R"]
    assert [texts for _, texts in found.rows] == [
        ["1.000", "0.700", "3.000"],
        ["1.000", "0.700", "1.000"],
        ["1.000", "0.500", "2.000"],
        ["1.000", "0.400", "9.000"],
    ]
    assert found.ranks == [[1, 1, 0], [1, 1, 1], [1, 2, 2], [1, 0, 0]]


def test_a_single_number_is_no_best():
    assert grid([vot("a", 0.7, 3)]).ranks == [[0, 0, 0]]


def test_a_place_is_claimed_once():
    with pytest.raises(ValueError, match="a tracker's name stands twice for one dataset"):
        grid([vot("a", 0.7, 3), vot("b", 0.7, 3), vot("a", 0.6, 3)])


def test_a_speed_is_the_mean_over_the_datasets_where_it_is_known():
    results = [
        vot("a", 0.7, 3, fps=20),
        vot("a", 0.7, 3, fps=31, spec="vot:y"),
        vot("a", 0.7, 3, spec="vot:z"),
        vot("b", 0.7, 3),
    ]
    found = grid(results)
    assert found.groups == [("vot:x", 3), ("vot:y", 3), ("vot:z", 3), ("", 1)]
    assert found.titles[-1] == "FPS"
    assert [texts[-1] for _, texts in found.rows] == ["26", "–"]  # 25.5, to the even
    assert [ranks[-1] for ranks in found.ranks] == [0, 0]
    assert "FPS" not in grid(results[2:]).titles


def test_json_has_no_number_where_no_frame_counts():
    found = as_json([got10k("a", [True] * 4), got10k("b", [False] * 4)])
    first, second = json.loads(found, parse_constant=pytest.fail)
    assert (first["ao"], first["frames"]) == (0.5, 4)
    assert (second["ao"], second["sr50"], second["frames"]) == (None, None, 0)
    assert len(found.splitlines()) == 2


def test_latex_sets_thresholds_below_and_rules_under_datasets_alone():
    known = got10k("a", [True, False, True, True])
    lines = as_latex([known, vot("b_1", 0.5, 1, fps=30)]).splitlines()
    assert lines[1:7] == [
        r"\begin{tabular}{lrrrrrrr}",
        r"\toprule",
        r" & \multicolumn{3}{c}{GOT-10k} & \multicolumn{3}{c}{VOT} & \multicolumn{1}{c}{} \\",
        r"\cmidrule(lr){2-4}\cmidrule(lr){5-7}",
        r"Tracker & AO & SR$_{0.50}$ & SR$_{0.75}$ & EAO & A & R & FPS \\",
        r"\midrule",
    ]
    assert lines[7:9] == [
        r"a & 0.667 & 0.667 & 0.667 & -- & -- & -- & -- \\",
        r"b\_1 & -- & -- & -- & 1.000 & 0.500 & 1.000 & 30 \\",
    ]


def test_the_terminals_table_names_a_dataset_once_and_ends_with_its_numbers():
    assert as_table([got10k("a-net[v2]", [True] * 4), vot("b", 0.5, 1)]).splitlines() == [
        "           GOT-10k                  VOT",
        "tracker         AO  SR.50  SR.75    EAO      A      R",
        "a-net[v2]    0.500  0.500  0.500      –      –      –",
        "b                –      –      –  1.000  0.500  1.000",
    ]


def test_videos_and_fractions_are_shown_in_columns():
    rows = got10k("a", [True, False, True, True]).rows()
    shown = [line.split() for line in per_sequence(rows, "a on got10k:[G]").splitlines()]
    assert shown[0] == ["a", "on", "got10k:[G]"]
    assert shown[1] == ["sequence", "frames", "AO", "SR.50", "SR.75", "SS", "PS", "NPS", "fps"]
    assert shown[2][:5] == ["a", "3", "0.667", "0.667", "0.667"] and shown[2][-1] == "–"
    shares = [
        Fractions("trast", "otb:O", 1234, {"student": 0.75, "kcf": 0.25}),
        Fractions("trasfust", "otb:O", 99, {"eco": 1.0}),
    ]
    assert [line.split() for line in fractions_table(shares).splitlines()] == [
        ["tracker", "dataset", "frames", "eco", "kcf", "student"],
        ["trast", "otb:O", "1,234", "0.000", "0.250", "0.750"],
        ["trasfust", "otb:O", "99", "1.000", "0.000", "0.000"],
    ]
