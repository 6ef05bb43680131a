"""Result folders that do not fit their benchmark: missing, too short, too long, unreadable."""

import json

import numpy as np
import pytest
from evaluation_samples import records, run, walk, write_boxes, write_got10k, write_images, write_uav123
from plain_measures import plain_otb

from datasets import open_dataset
from datasets.results import ResultsFolder, write_results
from trainer.evaluate.protocol import PROTOCOLS
from trainer.evaluate.recordings import Leniency, score_folder
from trainer.evaluate.truth import read_truth


@pytest.fixture
def uav123(tmp_path):
    return write_uav123(tmp_path)


def damaged(folder, name, change):
    path = folder / "Some" / f"{name}.txt"
    path.write_text(change(path.read_text()))
    return path


def test_missing_short_and_long_results(uav123):
    spec, results, pairs = uav123
    options = {"dataset": (spec,), "results": (results,)}
    short = damaged(results, "bike1", lambda text: "".join(text.splitlines(keepends=True)[:-2]))
    code, out, err = run(**options)
    assert (code, out) == (2, "")
    assert err.startswith(f"evaluate: {short}: 10 rows for a video of 12 frames")
    assert "--unequal cut" in err
    damaged(results, "bird1_1", lambda text: text + "1,2,3,4\n")
    (results / "Some" / "bird1_2.txt").unlink()
    code, _, err = run(**options)
    assert code == 2
    assert "3 of 3 results of Some cannot be scored (1 missing, 2 of another length)" in err
    assert "bird1_1: 13 rows" in err
    code, _, err = run(**options, unequal="cut")
    assert code == 2
    assert "Some has no result for bird1_2" in err
    (record,) = records(**options, unequal="cut", missing="omit")
    pairs = [(truth[:n], boxes[:n]) for n, (truth, boxes) in zip((10, 12), pairs.values(), strict=False)]
    assert record["success_score"] == pytest.approx(plain_otb(*zip(*pairs, strict=True))[0], abs=1e-9)
    (record,) = records(**options, unequal="cut-start", missing="omit")
    truth = open_dataset(spec)["bike1"].ground_truth[2:]
    boxes = ResultsFolder(results, "uav123").read("Some", "bike1")
    scored, notes = score_folder(
        ResultsFolder(results, "uav123"),
        "Some",
        read_truth(open_dataset(spec), PROTOCOLS["uav123"], names=["bike1"]),
        Leniency(unequal="cut-start"),
    )
    assert scored.values["success_score"] == pytest.approx(plain_otb([truth], [boxes])[0])
    assert notes == ["Some on bike1: 10 rows for 12 frames: both cut"]
    code, _, err = run(**options, unequal="omit", missing="omit")
    assert code == 2
    assert "no result for any video" in err


def test_results_that_count_pixels_from_0_where_the_dataset_counts_from_1(uav123):
    spec, results, pairs = uav123
    (expected,) = records(dataset=(spec,), results=(results,))
    for name, (_, boxes) in pairs.items():
        write_boxes(results / "Some" / f"{name}.txt", boxes, 0)
    (shifted,) = records(dataset=(spec,), results=(results,))
    (found,) = records(dataset=(spec,), results=(results,), base=0)
    assert found == expected != shifted
    assert run(tracker=("kcf",), dataset=(spec,), base=0)[0] == 2


@pytest.mark.parametrize("unequal", ["cut", "cut-start"])
def test_results_that_are_all_too_long_are_cut(uav123, unequal):
    spec, results, pairs = uav123
    lengths = {"bike1": 14, "bird1_1": 13, "bird1_2": 12}
    for name, length in lengths.items():
        extra = np.full((length - 12, 4), 7, np.float32)
        boxes = pairs[name][1]
        rows = np.concatenate([extra, boxes] if unequal == "cut-start" else [boxes, extra])
        write_boxes(results / "Some" / f"{name}.txt", rows, 1)
    (record,) = records(dataset=(spec,), results=(results,), unequal=unequal)
    assert record["success_score"] == pytest.approx(
        plain_otb(*zip(*pairs.values(), strict=True))[0], abs=1e-9
    )


def test_later_repetitions_of_another_length_follow_unequal(tmp_path):
    """As where the repetition with the extra row, or without its last, were the first."""
    truths, results = {}, {}
    for n, name in enumerate(("GOT-10k_Val_000001", "GOT-10k_Val_000002")):
        truths[name], results[name] = walk(40 + n)
    write_got10k(tmp_path, "val", truths, {name: [8] * 12 for name in truths})
    spec = f"got10k:{tmp_path}:val"
    odd = "GOT-10k_Val_000001"
    for place, length in (("long", 13), ("short", 11)):
        for name, boxes in results.items():
            other = np.concatenate([boxes, boxes[:1]])[:length] if name == odd else boxes
            for repetition in (1, 2):
                write_results(
                    tmp_path / place / "2", "S", name, (boxes, other)[repetition - 1], repetition=repetition
                )
                write_results(
                    tmp_path / place / "1", "S", name, (other, boxes)[repetition - 1], repetition=repetition
                )
        second = tmp_path / place / "2"
        code, _, err = run(dataset=(spec,), results=(second,), tracker=("S",))
        assert code == 2
        assert f"{odd}_002.txt: {length} rows" in err
        assert "--unequal cut" in err
        for unequal in ("cut", "cut-start"):
            (one, two) = (
                records(dataset=(spec,), results=(tmp_path / place / n,), tracker=("S",), unequal=unequal)[0]
                for n in ("1", "2")
            )
            assert one == two
        code, out, err = run(dataset=(spec,), results=(second,), unequal="omit", format="json")
        assert code == 0
        assert f"{odd}, repetition 2: {length} rows for 12 frames: left out" in err
        (second / "S" / odd / f"{odd}_002.txt").unlink()
        assert json.loads(out) == records(dataset=(spec,), results=(second,))


def test_frames_without_a_box_are_told_where_one_was_asked_for(uav123):
    spec, results, _ = uav123
    path = results / "Some" / "bird1_1.txt"
    lines = path.read_text().splitlines()
    for t in (0, 3, 5):  # the box that was given, one that was asked for, no target
        lines[t] = "NaN,NaN,NaN,NaN"
    path.write_text("\n".join(lines) + "\n")
    truth = read_truth(open_dataset(spec), PROTOCOLS["uav123"])
    _, notes = score_folder(ResultsFolder(results, "uav123"), "Some", truth, Leniency())
    assert notes == ["Some: no box (NaN, or without area) in 1 frame, which overlap by 0"]


def test_a_video_is_judged_in_its_own_image_where_another_is_left_out(tmp_path):
    boxes = np.tile(np.float32([200, 100, 40, 40]), (12, 1))
    write_got10k(tmp_path, "val", {"a": walk(1)[0], "b": boxes}, {name: [8] * 12 for name in "ab"})
    write_images(tmp_path / "val" / "b", 12, shape=(200, 300))
    write_results(tmp_path / "r", "S", "b", boxes)
    options = {"dataset": (f"got10k:{tmp_path}:val",), "results": (tmp_path / "r",), "tracker": ("S",)}
    (record,) = records(**options, missing="omit")
    assert (record["sequences"], record["ao"]) == (1, 1.0)


def test_five_faults_are_all_named(tmp_path):
    write_got10k(tmp_path, "val", {name: walk(1)[0] for name in "abcdef"}, {n: [8] * 12 for n in "abcdef"})
    write_results(tmp_path / "r", "S", "a", walk(1)[1])
    options = {"dataset": (f"got10k:{tmp_path}:val",), "results": (tmp_path / "r",), "tracker": ("S",)}
    _, _, err = run(**options)
    assert "5 of 6 results of S cannot be scored (5 missing): b: " in err and " more" not in err
    (tmp_path / "r" / "S" / "a" / "a_001.txt").unlink()
    write_results(tmp_path / "r", "S", "f", walk(1)[1][:3])
    _, _, err = run(**options)
    assert "6 of 6 results of S cannot be scored" in err and "; and 1 more" in err


def test_in_a_folder_of_many_a_tracker_at_fault_is_reported_and_left_out(uav123):
    spec, results, pairs = uav123
    for name, (truth, _) in pairs.items():
        write_boxes(results / "Other" / f"{name}.txt", truth if name != "bird1_2" else truth[:-1], 1)
    code, out, err = run(dataset=(spec,), results=(results,), format="json")
    assert code == 1
    assert [record["tracker"] for record in json.loads(out)] == ["Some"]
    assert err.startswith(f"left out: {results / 'Other' / 'bird1_2.txt'}: 11 rows")
    code, out, err = run(dataset=(spec,), results=(results,), tracker=("Some", "Other"), format="json")
    assert (code, out) == (2, "")
    assert "11 rows" in err


def test_a_result_that_is_no_table_names_file_and_line(uav123):
    spec, results, _ = uav123
    path = damaged(results, "bike1", lambda text: text.replace("\n", "\nsorry\n", 1))
    code, _, err = run(dataset=(spec,), results=(results,), missing="omit", unequal="omit")
    assert code == 2
    assert f"{path}, line 2" in err
    assert "'sorry'" in err
    damaged(results, "bird1_1", lambda text: text.replace(",", ";"))
    code, _, err = run(dataset=(spec,), results=(results,))
    assert code == 2
    assert "2 of 3 results of Some cannot be scored (2 unreadable): bike1 (bike1.txt, line 2): " in err
    assert "bird1_1 (bird1_1.txt, line 1): 1 value instead of 4" in err
