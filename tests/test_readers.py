"""Readers of datasets, on tiny folders in the benchmarks' layouts and on the real ones."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_videos import rows, write_got10k, write_images

from datasets import open_dataset
from datasets.errors import DataError, DataWarning
from datasets.got10k import WITHHELD
from datasets.image_files import image_number
from datasets.otb import FRAMES
from datasets.single_video import read_single
from datasets.spec import KINDS, parse_spec
from datasets.uav123 import PARTS
from datasets.video import VideoDataset


def test_specs(tmp_path: Path) -> None:
    assert str(parse_spec("got10k:/data/GOT-10k:train")) == "got10k:/data/GOT-10k:train"
    assert parse_spec("otb:/data/OTB").split is None
    assert parse_spec("got10k:C:\\data\\GOT").root == Path("C:\\data\\GOT")
    assert parse_spec("got10k:C:\\data\\GOT:val").split == "val"
    odd = tmp_path / "a:b"
    odd.mkdir()
    assert parse_spec(f"annotations:{odd}").root == odd
    assert parse_spec(f"got10k:{odd}:val").root == odd
    assert parse_spec("lasot:~/x").root == Path.home() / "x"


def test_got10k(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 5, "B": 3})
    (folder / "A" / "absence.label").write_text("0\n0\n1\n0\n0\n")
    (folder / "A" / "meta_info.ini").write_text("[METAINFO]\nurl: a%b\nobject_class: gray fox\n")
    dataset = open_dataset(f"got10k:{tmp_path}")
    assert isinstance(dataset, VideoDataset)
    assert dataset.spec == f"got10k:{tmp_path}:train"
    assert list(dataset.names) == ["A", "B"]
    video = dataset["A"]
    assert video.object_class == "gray fox"
    assert video.absent.tolist() == [False, False, True, False, False]
    assert video.ground_truth.dtype == np.float32
    assert video.ground_truth[1].tolist() == [6, 7, 10, 12]
    assert [p.name for p in video.frames[1:3]] == ["00000002.jpg", "00000003.jpg"]
    assert [len(v) for v in dataset] == [5, 3]
    assert pickle.loads(pickle.dumps(dataset))["B"].digest() == dataset["B"].digest()
    assert replace(video, frames=tuple(video.frames)).digest() == video.digest()
    with pytest.raises(KeyError, match="no video 'C'"):
        dataset["C"]


def test_the_root_may_be_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_got10k(tmp_path, {"A": 2}, split="val", first=0)
    for spec in (f"got10k:{folder}", f"got10k:{folder}:val", f"synthetic:{tmp_path}:val"):
        assert [p.name for p in open_dataset(spec)["A"].frames] == ["00000000.jpg", "00000001.jpg"]
    monkeypatch.chdir(folder)
    for spec in ("got10k:.", "got10k:.:val"):
        assert open_dataset(spec).spec == "got10k:.:val"
    with pytest.raises(DataError, match=rf"is itself a split \(val\).* Give {tmp_path}, or leave"):
        open_dataset("got10k:.:train")


def test_the_test_split_knows_its_first_box_only(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 4}, split="test")
    (folder / "A" / "groundtruth.txt").write_text("1,2,3,4\n")
    (folder / "A" / "absence.label").unlink()
    video = open_dataset(f"got10k:{tmp_path}:test")["A"]
    assert video.absent.tolist() == [False, True, True, True]
    assert np.isnan(video.ground_truth[1:]).all()
    assert video.notes == (WITHHELD,)


def test_elsewhere_than_in_the_test_split_a_single_box_is_a_short_video(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 4})
    (folder / "A" / "groundtruth.txt").write_text("1,2,3,4\n")
    video = open_dataset(f"got10k:{tmp_path}")["A"]
    assert len(video) == 1
    assert "3 images after the last annotated frame are ignored" in video.notes


def test_a_list_beside_the_splits_hides_none(tmp_path: Path) -> None:
    write_got10k(tmp_path, {"A": 2})
    write_got10k(tmp_path, {"B": 2}, split="val")
    (tmp_path / "list.txt").write_text("C\n")
    assert [list(open_dataset(f"got10k:{tmp_path}{s}").names) for s in ("", ":val")] == [["A"], ["B"]]


def test_files_that_macos_adds_are_neither_images_nor_annotations(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 2})
    (folder / "A" / "._00000001.jpg").write_bytes(b"\0")
    assert [p.name for p in open_dataset(f"got10k:{tmp_path}")["A"].frames] == [
        "00000001.jpg",
        "00000002.jpg",
    ]
    for name in ("a.txt", "._a.txt"):
        (tmp_path / name).write_text(rows(2, base=1))
    assert list(open_dataset(f"annotations:{tmp_path}").names) == ["a"]


def test_more_images_or_boxes_are_decided_and_noted(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 5, "B": 5, "C": 4})
    (folder / "A" / "groundtruth.txt").write_text(rows(3))
    (folder / "B" / "groundtruth.txt").write_text(rows(6))
    (folder / "B" / "absence.label").write_text("0\n1\n")
    (folder / "C" / "00000002.jpg").rename(folder / "C" / "00000009.jpg")
    (folder / "C" / "absence.label").write_text("0\n0\n0\n1\n1\n")
    dataset = open_dataset(f"got10k:{tmp_path}")
    a, b, c = dataset
    assert len(a) == len(a.frames) == 3
    assert "2 images after the last annotated frame are ignored" in a.notes
    assert len(b) == len(b.frames) == 5
    assert "1 box after the last image is ignored" in b.notes
    assert "absence.label has 2 rows for 6 boxes; frames without a row count as not flagged" in b.notes
    assert b.absent.tolist() == [False, True, False, False, False]
    assert len(c) == 4
    assert "5 numbers between the first image and the last are unused; matched in order" in c.notes
    assert "absence.label has 5 rows for 4 boxes; frames without a row count as not flagged" in c.notes
    assert c.absent.tolist() == [False, False, False, True]


def test_exclusion_drops_videos_and_reports_strangers(tmp_path: Path) -> None:
    write_got10k(tmp_path, {"A": 1, "B": 1, "C": 1})
    listed = tmp_path / "exclude.txt"
    listed.write_text("# prohibited\nB\n\nGOT-10k_Train_000001\n")
    with pytest.warns(DataWarning, match=r"1 of 2 excluded names are not in the dataset, such as 'GOT"):
        dataset = open_dataset(f"got10k:{tmp_path}", exclude=listed)
    assert list(dataset.names) == ["A", "C"]
    assert len(dataset) == 2
    with pytest.raises(KeyError):
        dataset["B"]


def test_otb(tmp_path: Path) -> None:
    write_images(tmp_path / "Jogging" / "img", range(1, 4), 4)
    (tmp_path / "Jogging" / "groundtruth_rect.txt").write_text(rows(3, base=1))
    (tmp_path / "Jogging" / "groundtruth_rect.1.txt").write_text(rows(3, "\t", base=1))
    (tmp_path / "Jogging" / "groundtruth_rect.2.txt").write_text(rows(3, " ", base=1))
    write_images(tmp_path / "Human4" / "img", range(1, 3), 4)
    (tmp_path / "Human4" / "groundtruth_rect.1.txt").write_text("\n")
    (tmp_path / "Human4" / "groundtruth_rect.2.txt").write_text(rows(2, base=1))
    write_images(tmp_path / "David" / "img", range(298, 773), 4, width=16, height=16)
    (tmp_path / "David" / "groundtruth_rect.txt").write_text(rows(471, base=1))
    dataset = open_dataset(f"otb:{tmp_path}")
    assert list(dataset.names) == ["David", "Human4-2", "Jogging-1", "Jogging-2"]
    assert dataset["Jogging-2"].ground_truth[0].tolist() == [5, 7, 10, 12]
    david = dataset["David"]
    assert (david.frames[0].name, david.frames[-1].name) == ("0300.jpg", "0770.jpg")
    assert david.notes == ("4 images outside the benchmark's frames 300 to 770 are ignored",)


def test_otb_folders_that_are_called_after_their_targets(tmp_path):
    """As pysot's users have them: copies with both annotations, or each with its own."""
    for number in (1, 2):
        folder = tmp_path / f"Jogging-{number}"
        write_images(folder / "img", range(1, 4), 4)
        for target in (1, 2):
            (folder / f"groundtruth_rect.{target}.txt").write_text(rows(3, base=target))
    write_images(tmp_path / "Human4-2" / "img", range(1, 4), 4)
    (tmp_path / "Human4-2" / "groundtruth_rect.2.txt").write_text(rows(3, base=1))
    dataset = open_dataset(f"otb:{tmp_path}")
    assert list(dataset.names) == ["Human4-2", "Jogging-1", "Jogging-2"]
    first = [dataset[f"Jogging-{number}"].ground_truth[0, 0] for number in (1, 2)]
    assert first[1] == first[0] + 1
    # Beside a folder that holds both, which comes before them or after them, the copies are read.
    for other in ("Jogging", "Jogging_old"):
        shutil.copytree(tmp_path / "Jogging-1", tmp_path / other)
    (tmp_path / "Jogging" / "groundtruth_rect.1.txt").write_text(rows(3, base=9))
    dataset = open_dataset(f"otb:{tmp_path}")
    assert dataset["Jogging-1"].frames[0].parent.parent.name == "Jogging-1"
    assert dataset["Jogging-1"].ground_truth[0, 0] == first[0]


def test_uav123_parts(tmp_path: Path) -> None:
    for version, first, last in (("UAV123", 775, 1477), ("UAV123_10fps", 259, 493)):
        annotations = tmp_path / "anno" / version
        annotations.mkdir(parents=True)
        length = last - first + 1
        (annotations / "bird1_2.txt").write_text(rows(length - 1, base=1) + "NaN,NaN,NaN,NaN\n")
        folder = tmp_path / "data_seq" / version / "bird1"
        folder.mkdir(parents=True)
        for number in range(1, last + 30):
            (folder / f"{number:06d}.jpg").touch()
    for kind, first in (("uav123", "000775.jpg"), ("uav123_10fps", "000259.jpg")):
        video = open_dataset(f"{kind}:{tmp_path}")["bird1_2"]
        assert (video.frames[0].name, len(video.frames)) == (first, len(video))
        assert video.frames[-1].name == {"uav123": "001477.jpg", "uav123_10fps": "000493.jpg"}[kind]
        assert video.notes == ()
        assert video.absent.nonzero()[0].tolist() == [len(video) - 1]
        assert video.ground_truth[0].tolist() == [5, 7, 10, 12]


def test_uav123_parts_do_not_overlap_but_at_their_borders() -> None:
    assert len(PARTS) == 51
    by_folder: dict[str, list[tuple[int, int]]] = {}
    for name, (folder, first, last) in PARTS.items():
        assert name.rpartition("_")[0] == folder
        by_folder.setdefault(folder, []).append((first, last))
    for ranges in by_folder.values():
        ordered = sorted(ranges)
        assert all(a[1] <= b[0] for a, b in pairwise(ordered))


def test_uav123_parts_begin_and_end_at_every_sixth_image() -> None:
    """An observation about the benchmark's configuration, which a slip of a digit would not keep."""
    borders = {number for _, first, last in PARTS.values() for number in (first, last)}
    assert {(number - 1) % 6 for number in borders} == {0}


def test_lasot(tmp_path: Path) -> None:
    for folder in (tmp_path / "airplane" / "airplane-1", tmp_path / "bear-2"):
        write_images(folder / "img", range(1, 5))
        (folder / "groundtruth.txt").write_text(rows(4, base=1))
        (folder / "full_occlusion.txt").write_text("0,1,0,0\n")
        (folder / "out_of_view.txt").write_text("0,0,0,1")
    (tmp_path / "testing_set.txt").write_text("airplane-1\n")
    test, train, everything = (open_dataset(f"lasot:{tmp_path}{s}") for s in ("", ":train", ":all"))
    assert (list(test.names), list(train.names)) == (["airplane-1"], ["bear-2"])
    assert list(everything.names) == ["airplane-1", "bear-2"]
    assert test.spec == f"lasot:{tmp_path}:test"
    video = test["airplane-1"]
    assert video.object_class == "airplane"
    assert video.absent.tolist() == [False, True, False, True]
    assert video.ground_truth[0].tolist() == [5, 7, 10, 12]
    assert train["bear-2"].frames[0] == tmp_path / "bear-2" / "img" / "00000001.jpg"
    (tmp_path / "bear-2" / "full_occlusion.txt").write_text("0,1,0,0,1,1\n")
    assert train["bear-2"].absent.tolist() == [False, True, False, True]
    assert any(note.startswith("full_occlusion.txt has 6 rows for 4 boxes") for note in train["bear-2"].notes)


def test_vot(tmp_path: Path) -> None:
    write_images(tmp_path / "ants1" / "color", range(1, 3))
    (tmp_path / "ants1" / "groundtruth.txt").write_text("10,5,20,5,20,25,10,25\n0,0,4,1,3,5,-1,4\n")
    write_images(tmp_path / "bag", range(1, 3))
    (tmp_path / "bag" / "groundtruth.txt").write_text("10.5,5,10,20\nnan,nan,nan,nan\n")
    (tmp_path / "list.txt").write_text("ants1\nbag\n")
    ants, bag = open_dataset(f"vot:{tmp_path}")
    assert ants.ground_truth.tolist() == [[10, 5, 10, 20], [-1, 0, 5, 5]]
    assert bag.ground_truth[0].tolist() == [10.5, 5, 10, 20]
    assert bag.absent.tolist() == [False, True]
    # With the line ends of old Macs too, which the readers of all kinds take.
    for text in ("10,5,20,5,20,25,10,25\r0,0,4,1,3,5,-1,4\r", "0,0,4,4\r1,1,5,5\r"):
        (tmp_path / "ants1" / "groundtruth.txt").write_bytes(text.encode())
        assert len(open_dataset(f"vot:{tmp_path}")["ants1"]) == 2
    for text, count in (("1,2\n3,4\n", "2 values"), ("1,2,3,4,5\n", "5 values"), ("1\n", "1 value")):
        (tmp_path / "ants1" / "groundtruth.txt").write_text(text)
        with pytest.raises(DataError, match=f"{count} .*no rectangle or polygon"):
            open_dataset(f"vot:{tmp_path}")["ants1"]


def test_a_video_by_itself(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 4}) / "A"
    (folder / "absence.label").write_text("0\n1\n0\n0\n")
    video = read_single(folder).video
    assert (video.name, video.absent.tolist()) == ("A", [False, True, False, False])
    assert video.ground_truth[3].tolist() == [8, 7, 10, 12]
    (folder / "absence.label").unlink()
    (folder / "groundtruth.txt").write_text("1,2,3,4\n")
    video = read_single(folder).video
    assert (len(video.frames), video.absent.tolist()) == (4, [False, True, True, True])
    given = read_single(folder, (9, 8, 7, 6))
    assert (len(list(given.images)), given.video.ground_truth[0].tolist()) == (4, [9, 8, 7, 6])


def test_a_folder_of_otb_by_itself(tmp_path: Path) -> None:
    write_images(tmp_path / "Jogging" / "img", range(1, 4), 4)
    for target in (1, 2):
        text = rows(3, base=target)
        (tmp_path / "Jogging" / f"groundtruth_rect.{target}.txt").write_text(text)
    video = read_single(tmp_path / "Jogging").video
    assert (video.name, video.ground_truth[0].tolist()) == ("Jogging-1", [5, 7, 10, 12])
    given = read_single(tmp_path / "Jogging", (9, 8, 7, 6)).video
    assert (given.name, [path.name for path in given.frames]) == (
        "Jogging",
        ["0001.jpg", "0002.jpg", "0003.jpg"],
    )


def test_annotations(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(rows(3, base=1))
    video = open_dataset(f"annotations:{tmp_path}")["a"]
    assert len(video) == 3
    assert not video.frames
    assert video.ground_truth[0].tolist() == [5, 7, 10, 12]


def test_every_kind_of_the_issue_is_there() -> None:
    issue = ["got10k", "otb", "uav123", "uav123_10fps", "lasot", "vot", "synthetic", "annotations"]
    assert sorted(KINDS) == sorted(issue)


@pytest.mark.parametrize(
    ("name", "number"),
    [("00000012.jpg", 12), ("img00012.png", 12), ("0.bmp", 0), ("a.b.7.JPG", 7), ("x.jpg", None)],
)
def test_image_numbers(name: str, number: int | None) -> None:
    assert image_number(name) == number


def test_real_otb(real_data: Path) -> None:
    dataset = open_dataset(f"otb:{real_data / 'otb'}")
    assert len(dataset) == 12
    videos = {v.name: v for v in dataset}
    assert videos["David"].frames[0].name == "0300.jpg"
    assert videos["David"].ground_truth[0].tolist() == [128, 79, 64, 78]
    assert len(videos["Diving"]) == 215
    assert videos["Diving"].notes == ("16 images outside the benchmark's frames 1 to 215 are ignored",)
    assert videos["Jogging-1"].ground_truth[0].tolist() == [110, 97, 25, 101]
    assert videos["Jogging-2"].ground_truth[0].tolist() == [179, 78, 37, 114]
    assert videos["Walking2"].ground_truth[0].tolist() == [129, 131, 31, 115]  # tabs and CRLF


def test_the_benchmarks_frames_of_otb_are_as_many_as_its_annotations_have_rows(real_data: Path) -> None:
    published = {path.stem.lower(): path for path in (real_data / "annotations" / "OTB100").glob("*.txt")}
    for name, (first, last) in FRAMES.items():
        assert len(published[name].read_text().splitlines()) == last - first + 1, name


def test_real_clips_are_parts_of_the_real_sequences(real_data: Path) -> None:
    """Two readers, two layouts, one truth: the clips were cut from the sequences and made 0-based."""
    clips = open_dataset(f"got10k:{real_data / 'got10k_layout'}")
    assert len(clips) == 41
    assert sum(len(v) for v in clips) == 3965
    otb = open_dataset(f"otb:{real_data / 'otb'}")
    david = otb["David"].ground_truth
    cut = clips["David_01"].ground_truth
    assert np.array_equal(cut, david[: len(cut)])
    uav = open_dataset(f"uav123_10fps:{real_data / 'uav123_10fps'}")["wakeboard7"]
    assert np.array_equal(
        clips["wakeboard7_01"].ground_truth, uav.ground_truth[: len(clips["wakeboard7_01"])]
    )


def test_real_third_party_folder(real_data: Path) -> None:
    video = open_dataset(f"got10k:{real_data / 'malformed_got10k_layout'}")["human_1"]
    assert len(video) == 27
    assert "1 box after the last image is ignored" in video.notes
    assert video.ground_truth[0].tolist() == [274, 1, 29, 24]


def test_opening_is_lazy(tmp_path: Path) -> None:
    names = [f"GOT-10k_Train_{i:06d}" for i in range(1, 9336)]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "list.txt").write_text("\n".join(names))
    assert len(open_dataset(f"got10k:{tmp_path}")) == 9335  # none of whose folders exists
