"""Result folders: every toolkit's layout read, four written, and the published scores recovered."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.errors import DataError
from datasets.results import Layout, MissingResultError, ResultLengthError, ResultsFolder, write_results

BOXES = np.array([[10, 20, 30, 40], [11.5, 20.25, 30.125, 40]], np.float32)


def test_got10k_layout(tmp_path: Path) -> None:
    file = write_results(tmp_path, "KCF", "A", BOXES, seconds=[0.1, 0.2])
    assert file == tmp_path / "KCF" / "A" / "A_001.txt"
    assert file.read_text() == "10.000,20.000,30.000,40.000\n11.500,20.250,30.125,40.000\n"
    write_results(tmp_path, "KCF", "A", BOXES + 1, seconds=[0.3, 0.4], repetition=2)
    times = (tmp_path / "KCF" / "A" / "A_time.txt").read_text()
    assert times == "0.10000000,0.30000000\n0.20000000,0.40000000\n"
    results = ResultsFolder(tmp_path)
    assert results.trackers == ("KCF",)
    assert results.base("KCF") == 0
    assert np.array_equal(results.read("KCF", "A", 2), BOXES)
    assert np.array_equal(results.read("KCF", "A", repetition=2), BOXES + 1)
    assert results.repetitions("KCF", "A") == 2
    assert results.repetitions("KCF", "B") == 0
    with pytest.raises(MissingResultError, match="no repetition 3"):
        results.read("KCF", "A", repetition=3)


def test_flat_layout_is_one_based(tmp_path: Path) -> None:
    file = write_results(tmp_path, "ECO", "David2", BOXES, "otb")
    assert file.read_text().startswith("11.000,21.000,30.000,40.000\n")
    assert np.array_equal(ResultsFolder(tmp_path).read("ECO", "David2"), BOXES)
    assert [ResultsFolder(tmp_path).repetitions("ECO", video) for video in ("David2", "David3")] == [1, 0]
    for form in ("otb", "pysot", "pytracking"):
        with pytest.raises(ValueError, match=f"layout {form} has no repetition 2"):
            write_results(tmp_path, "ECO", "David2", BOXES, form, repetition=2)  # type: ignore[arg-type]
    assert np.array_equal(
        ResultsFolder(tmp_path, base=0).read("ECO", "David2"), BOXES + np.array([1, 1, 0, 0])
    )


def test_the_datasets_kind_settles_the_base(tmp_path: Path) -> None:
    write_results(tmp_path, "A", "ants1", BOXES, "otb", kind="vot")
    assert ResultsFolder(tmp_path, kind="vot").base("A") == 0
    assert np.array_equal(ResultsFolder(tmp_path, kind="vot").read("A", "ants1"), BOXES)
    write_results(tmp_path, "B", "David", BOXES, "got10k", kind="otb")
    assert np.array_equal(ResultsFolder(tmp_path, kind="otb").read("B", "David"), BOXES)
    with pytest.raises(ValueError, match="'imagenet' is not a kind"):
        ResultsFolder(tmp_path, kind="imagenet")
    with pytest.raises(ValueError, match="0 or 1, not 2"):
        ResultsFolder(tmp_path, base=2)


def test_pysot_and_pytracking_lie_two_levels_deep(tmp_path: Path) -> None:
    write_results(tmp_path, "OTB100/siamrpn_alex", "Jogging-1", BOXES, "pysot")
    write_results(tmp_path, "dimp/dimp50_000", "Jogging_1", BOXES, "pytracking", seconds=[0.5, 0.5])
    assert (tmp_path / "OTB100" / "siamrpn_alex" / "Jogging-1.txt").read_text() == (
        "11.0,21.0,30.0,40.0\n12.5,21.25,30.125,40.0\n"
    )
    assert (
        tmp_path / "dimp" / "dimp50_000" / "Jogging_1.txt"
    ).read_text() == "11\t21\t30\t40\n12\t21\t30\t40\n"
    results = ResultsFolder(tmp_path)
    assert results.trackers == ("OTB100/siamrpn_alex", "dimp/dimp50_000")
    assert results.videos("dimp50_000") == ("Jogging_1",)
    assert np.array_equal(results.read("siamrpn_alex", "Jogging-1"), BOXES)
    assert results.read("dimp50_000", "Jogging-1").tolist() == [[10, 20, 30, 40], [11, 20, 30, 40]]


@pytest.mark.parametrize(
    ("video", "file"),
    [
        ("David2", "david2"),
        ("Jogging-1", "jogging.1"),
        ("Skating2-2", "Skating2.2"),
        ("Human4-2", "Human4_2"),
        ("Human4-2", "Human4"),
        ("Human4", "Human4-2"),
        ("bike1", "uav_bike1"),
        ("bike1", "uav10fps_bike1"),
    ],
)
def test_names_that_toolkits_spell_differently(tmp_path: Path, video: str, file: str) -> None:
    write_results(tmp_path, "A", file, BOXES, "otb")
    results = ResultsFolder(tmp_path)
    assert np.array_equal(results.read("A", video), BOXES)
    (boxes,) = results.read_all("A", [video], [2])
    assert np.array_equal(boxes, BOXES)


@pytest.mark.parametrize("other", ["time", "object_presence_scores", "confidence"])
def test_what_a_tracker_writes_beside_its_boxes_is_no_video(tmp_path: Path, other: str) -> None:
    write_results(tmp_path, "A", "v", BOXES, "otb")
    (tmp_path / "A" / f"v_{other}.txt").write_text("0.5\n0.5\n")
    assert ResultsFolder(tmp_path).videos("A") == ("v",)


def test_a_readme_beside_the_videos_hides_no_tracker(tmp_path: Path) -> None:
    write_results(tmp_path, "A", "v", BOXES)
    (tmp_path / "A" / "README.txt").write_text("how these came about\n")
    (tmp_path / "A" / "a.txt").write_text("and more\n")
    assert np.array_equal(ResultsFolder(tmp_path).read("A", "v"), BOXES)


def test_an_exact_name_goes_before_a_similar_one_and_two_similar_ones_are_refused(tmp_path: Path) -> None:
    write_results(tmp_path, "A", "david", BOXES, "otb")
    write_results(tmp_path, "A", "DAVID", BOXES + 5, "otb")
    results = ResultsFolder(tmp_path)
    assert np.array_equal(results.read("A", "david"), BOXES)
    with pytest.raises(DataError, match=r"David could be any of DAVID, david\. Keep one"):
        results.read("A", "David")


def test_bulk_reading_reports_holes_and_wrong_lengths_in_place(tmp_path: Path) -> None:
    for name in ("A", "C", "D"):
        write_results(tmp_path, "T", name, BOXES)
    (tmp_path / "T" / "D" / "D_001.txt").write_text("1,2,3,4\nx,2,3,4\n")
    a, b, c, d = ResultsFolder(tmp_path).read_all("T", ["A", "B", "C", "D"], [2, 2, 3, 2])
    assert np.array_equal(a, BOXES)
    assert isinstance(b, MissingResultError)
    assert "T has no result for B (it has 3 others)" in str(b)
    assert isinstance(c, ResultLengthError)
    assert (c.found, c.expected) == (2, 3)
    assert isinstance(d, DataError)
    assert d.row == 2


def test_bulk_reading_gives_the_run_that_was_asked_for(tmp_path: Path) -> None:
    write_results(tmp_path, "twice", "A", BOXES)
    write_results(tmp_path, "twice", "A", BOXES + 1, repetition=2)
    write_results(tmp_path, "flat", "A", BOXES, "otb")
    results = ResultsFolder(tmp_path)
    (second,) = results.read_all("twice", ["A"], repetition=2)
    assert np.array_equal(second, BOXES + 1)
    (none,) = results.read_all("flat", ["A"], repetition=2)  # a flat folder holds one run
    assert isinstance(none, MissingResultError)


def test_errors_come_home_whole_from_a_worker(tmp_path: Path) -> None:
    for error in (MissingResultError(tmp_path, "a", "b"), ResultLengthError(tmp_path, 3, 4)):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.path) == (type(error), str(error), error.path)
    assert (copy.found, copy.expected) == (3, 4)


coordinates = st.floats(-2000, 2000, width=32)


@given(
    st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), min_size=1, max_size=12),
    st.sampled_from(["got10k", "otb", "pysot", "pytracking"]),
    st.sampled_from([None, 0, 1]),
)
def test_written_results_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[float, ...]], layout: Layout, base: int | None
) -> None:
    root = tmp_path_factory.mktemp("results")
    boxes = np.array(table, np.float32)
    write_results(root, "T", "V", boxes, layout, base=base)
    back = ResultsFolder(root, base=base).read("T", "V", len(boxes))
    tolerance = {"got10k": 0.00062, "otb": 0.00062, "pysot": 1e-12, "pytracking": 1.0}[layout]
    assert np.abs(back.astype(np.float64) - boxes).max() <= tolerance


def success(real_data: Path, tracker: str, align_end: bool = False) -> float:
    """The 21-threshold success score over OTB-100; frames whose ground truth is NaN dropped."""
    dataset = open_dataset(f"annotations:{real_data / 'annotations' / 'OTB100'}")
    results = ResultsFolder(real_data / "results" / "OTB100", kind="annotations")
    thresholds = np.linspace(0, 1, 21)
    scores = []
    for video in dataset:
        boxes = results.read(tracker, video.name)
        n = min(len(boxes), len(video))
        truth = video.ground_truth[-n:] if align_end else video.ground_truth[:n]
        known = ~np.isnan(truth).any(axis=1)
        iou = overlap(boxes[:n], truth)[known]
        scores.append((iou[:, None] > thresholds).mean())
    return float(np.mean(scores))


@pytest.mark.parametrize(
    ("tracker", "score"),
    [("TRAS", 0.481), ("TRASFUST", 0.701), ("ECO", 0.668), ("MDNet", 0.673), ("SiamFC", 0.575)],
)
def test_published_scores_on_otb100(real_data: Path, tracker: str, score: float) -> None:
    assert success(real_data, tracker) == pytest.approx(score, abs=0.0006)


def test_kcf_and_the_five_frames_of_tiger1(real_data: Path) -> None:
    """Its 349 rows of Tiger1 are frames 6 to 354: read so, the paper's 0.477 comes out."""
    assert success(real_data, "KCF") == pytest.approx(0.473, abs=0.0006)
    assert success(real_data, "KCF", align_end=True) == pytest.approx(0.477, abs=0.0006)
    results = ResultsFolder(real_data / "results" / "OTB100", kind="otb")
    with pytest.raises(ResultLengthError, match="349 rows for a video of 354 frames"):
        results.read("KCF", "Tiger1", 354)


def test_real_results_of_all_toolkits_names(real_data: Path) -> None:
    results = ResultsFolder(real_data / "results" / "OTB100", kind="otb")
    dataset = open_dataset(f"otb:{real_data / 'otb'}")
    for tracker in results.trackers:
        firsts = np.array(
            [results.read(tracker, v.name, len(v))[0] - v.ground_truth[0] for v in dataset], np.float64
        )
        # Every tracker begins with the ground truth (KCF's and some others' after rounding it).
        assert np.abs(firsts).max() <= 1, tracker
        assert (firsts == 0).any(axis=0).all(), tracker


def test_real_got10k_layout_results(real_data: Path) -> None:
    clips = open_dataset(f"got10k:{real_data / 'got10k_layout'}")
    results = ResultsFolder(real_data / "results" / "got10k_layout", kind="got10k")
    assert results.trackers == ("ECO", "KCF", "MDNet", "SiamFC")
    lengths = [len(clips[name]) for name in clips.names]
    for tracker in results.trackers:
        read = results.read_all(tracker, clips.names, lengths)
        holes = [name for name, boxes in zip(clips.names, read, strict=True) if isinstance(boxes, DataError)]
        assert holes == ["wakeboard7_01"]


def test_times_of_former_repetitions_keep_every_digit(tmp_path):
    times = np.array([[1234.56789012, 0.00000001], [0.12345678, 98765.43210987]])
    for repetition in (1, 2, 3):
        column = times[:, min(repetition, 2) - 1]
        write_results(tmp_path, "KCF", "A", BOXES, seconds=column, repetition=repetition)
    written = (tmp_path / "KCF" / "A" / "A_time.txt").read_text().split()
    assert written == [f"{a:.8f},{b:.8f},{b:.8f}" for a, b in times]
    with pytest.raises(DataError, match="2 rows for 1 boxes"):
        write_results(tmp_path, "KCF", "A", BOXES[:1], seconds=[0.1], repetition=4)
