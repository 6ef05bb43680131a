"""The audit finds every planted defect, and none in clean folders."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_videos import jpeg, rows, write_got10k, write_images

from datasets import open_dataset
from datasets.__main__ import main
from datasets.audit import Defect, audit
from datasets.audit_command import Audit
from datasets.errors import DataError
from datasets.image_integrity import inspect_image
from datasets.video import Video, VideoDataset


def defects(root: Path, kind: str = "got10k", workers: int = 1) -> dict[tuple[str, str], Defect]:
    """All defects by video and kind."""
    return {(d.video, d.kind): d for d in audit(open_dataset(f"{kind}:{root}"), workers)}


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A split of two faultless videos, A of 5 frames and B of 4."""
    folder = write_got10k(tmp_path, {"A": 5, "B": 4})
    for video, length in (("A", 5), ("B", 4)):
        (folder / video / "cover.label").write_text("8\n" * length)
        (folder / video / "cut_by_image.label").write_text("0\n" * length)
    return folder


def test_a_clean_folder_has_none(clean: Path) -> None:
    assert defects(clean.parent) == {}


def test_videos_that_the_list_does_not_name_are_told(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clean / "list.txt").write_text("A\n")
    assert Audit(f"got10k:{clean.parent}", workers=1).run() == 0
    assert "note: the list of videos leaves out 1 folder: B" in capsys.readouterr().err


def test_images(clean: Path) -> None:
    a = clean / "A"
    data = (a / "00000002.jpg").read_bytes()
    (a / "00000002.jpg").write_bytes(data[: len(data) // 2])
    (a / "00000003.jpg").write_bytes(jpeg(3, width=32))
    (a / "00000005.jpg").write_bytes((a / "00000004.jpg").read_bytes())
    (clean / "B" / "00000004.jpg").write_bytes(b"")
    found = defects(clean.parent)
    assert set(found) == {
        ("A", "bad-image"),
        ("A", "image-size"),
        ("A", "repeated-image"),
        ("B", "bad-image"),
    }
    bad = found["A", "bad-image"]
    assert (bad.frame, bad.frames, bad.path) == (1, 1, a / "00000002.jpg")
    assert "truncated" in bad.detail
    assert "32 x 48 after 64 x 48" in found["A", "image-size"].detail
    assert found["A", "repeated-image"].frame == 4
    assert "is empty" in found["B", "bad-image"].detail


def test_missing_images(clean: Path) -> None:
    (clean / "A" / "00000003.jpg").unlink()  # 4 images, 5 boxes: cannot be matched
    (clean / "B" / "00000002.jpg").unlink()
    (clean / "B" / "groundtruth.txt").write_text(rows(3))
    found = defects(clean.parent)
    assert "image 3 is missing in between" in found["A", "annotation"].detail
    assert found["B", "missing-images"].frames == 1
    assert "number 2 is the first of 1 missing" in found["B", "missing-images"].detail


def test_rows(clean: Path) -> None:
    (clean / "A" / "groundtruth.txt").write_text(rows(6))
    (clean / "B" / "cover.label").write_text("8\n" * 3)
    found = [d for d in audit(open_dataset(f"got10k:{clean.parent}")) if d.kind == "row-counts"]
    assert {(d.video, d.detail) for d in found} == {
        ("A", "1 box after the last image is ignored"),
        ("A", "absence.label has 5 rows for 6 boxes; frames without a row count as not flagged"),
        ("A", "cover.label has 5 rows for 6 boxes"),
        ("A", "cut_by_image.label has 5 rows for 6 boxes"),
        ("B", "cover.label has 3 rows for 4 boxes"),
    }


def test_boxes(clean: Path) -> None:
    a = clean / "A"
    (a / "groundtruth.txt").write_text("-1,-1,-1,-1\n5,5,0,9\nnan,nan,nan,nan\n70,5,5,5\n60,5,9,9\n")
    (a / "absence.label").write_text("1\n0\n0\n0\n0\n")
    found = defects(clean.parent)
    assert set(found) == {
        ("A", kind) for kind in ("invalid-box", "box-outside", "box-beyond-border", "absent-frames")
    }
    assert (found["A", "invalid-box"].frame, found["A", "invalid-box"].frames) == (1, 2)
    assert "groundtruth.txt, line 2 is '5,5,0,9'" in found["A", "invalid-box"].detail
    assert found["A", "box-outside"].frame == 3
    assert "'60,5,9,9' in an image of 64 x 48" in found["A", "box-beyond-border"].detail
    assert (found["A", "absent-frames"].frame, found["A", "absent-frames"].frames) == (0, 1)


def test_a_box_at_fault_is_shown_as_its_file_has_it(tmp_path: Path) -> None:
    """Not as `ground_truth` has it, 0-based, which a search in the file does not find; nor with the healthy image."""
    (tmp_path / "a.txt").write_text("1,1,5,5\n0,0,0,0\n")
    box = defects(tmp_path, "annotations")["a", "invalid-box"]
    assert box.detail == "frame 1: a.txt, line 2 is '0,0,0,0' (1-based)"
    assert (box.path, box.row, box.frame) == (tmp_path / "a.txt", 2, 1)
    folder = tmp_path / "Walking"
    write_images(folder / "img", range(1, 4))
    (folder / "groundtruth_rect.1.txt").write_text(
        "1\t1\t5\t5\n65\t1\t5\t5\nNaN\tNaN\tNaN\tNaN\n7\t7\t7\t7\n"
    )
    found = defects(tmp_path, "otb")
    assert {d.path for d in found.values()} == {folder / "groundtruth_rect.1.txt"}
    outside = found["Walking-1", "box-outside"]
    assert outside.detail.endswith("line 2 is '65\\t1\\t5\\t5' (1-based) in an image of 64 x 48")
    assert (outside.row, found["Walking-1", "absent-frames"].row) == (2, 3)


def test_labels_at_fault_are_named_with_their_path(clean: Path) -> None:
    (clean / "A" / "absence.label").write_text("0\n0\n1\n0\n")
    (clean / "B" / "absence.label").write_text("0\n0\n2\n0\n")
    (clean / "B" / "cover.label").write_text("8\n" * 3)
    found = defects(clean.parent)
    assert (
        found["A", "absent-frames"].detail == "frame 2: value 3 of absence.label marks the target as absent"
    )
    assert found["A", "absent-frames"].path == found["A", "row-counts"].path == clean / "A" / "absence.label"
    broken = found["B", "annotation"]
    assert (broken.path, broken.row) == (clean / "B" / "absence.label", 3)
    (clean / "B" / "absence.label").write_text("0\n" * 4)
    assert defects(clean.parent)["B", "row-counts"].path == clean / "B" / "cover.label"


def test_lasots_two_files_of_flags(tmp_path: Path) -> None:
    folder = tmp_path / "cup-1"
    write_images(folder / "img", range(1, 4))
    (folder / "groundtruth.txt").write_text(rows(3, base=1))
    (folder / "full_occlusion.txt").write_text("0,0,0")
    (folder / "out_of_view.txt").write_text("0,1,0")
    (found,) = audit(open_dataset(f"lasot:{tmp_path}:all"))
    assert (found.kind, found.path) == ("absent-frames", folder / "out_of_view.txt")
    assert found.detail == "frame 1: value 2 of out_of_view.txt marks the target as absent"


def test_nan_is_absence_where_the_benchmark_has_no_flags(clean: Path) -> None:
    (clean / "A" / "absence.label").unlink()
    (clean / "A" / "groundtruth.txt").write_text("5,5,9,9\n" * 4 + "NaN,NaN,NaN,NaN\n")
    (clean / "B" / "absence.label").unlink()
    (clean / "B" / "groundtruth.txt").write_text("5,5,9,9\n" * 3 + "5,NaN,9,9\n")
    assert set(defects(clean.parent)) == {("A", "absent-frames"), ("B", "invalid-box")}


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ("-1,-1,66,50", None),  # a pixel beyond each border of 64 x 48
        ("-1.5,5,9,9", "beyond-border"),
        ("5,-1.5,9,9", "beyond-border"),
        ("56,5,9.5,9", "beyond-border"),
        ("5,40,9,9.5", "beyond-border"),
        ("-8.5,5,9,9", "beyond-border"),
        ("-9,5,9,9", "outside"),
        ("5,-9,9,9", "outside"),
        ("64,5,9,9", "outside"),
        ("5,48,9,9", "outside"),
    ],
)
def test_boxes_at_the_borders(clean: Path, box: str, kind: str | None) -> None:
    (clean / "A" / "groundtruth.txt").write_text(f"{box}\n" * 5)
    assert set(defects(clean.parent)) == ({("A", f"box-{kind}")} if kind else set())


def test_what_is_no_repetition(tmp_path: Path) -> None:
    """Videos that end as they began, and the images of another video with other boxes."""
    folder = write_got10k(tmp_path, {"A": 3, "B": 3})
    for video in "AB":
        (folder / video / "00000003.jpg").write_bytes(jpeg(1))
    assert set(defects(tmp_path)) == {("B", "repeated-video")}
    (folder / "B" / "groundtruth.txt").write_text(rows(3, base=1))
    assert defects(tmp_path) == {}


def test_repeated_video_unreadable_video_and_known_defect(clean: Path) -> None:
    known = "GOT-10k_Train_008623"
    for name in ("C", known):
        (clean / name).mkdir()
        for file in (clean / "A").iterdir():
            (clean / name / file.name).write_bytes(file.read_bytes())
    (clean / "list.txt").write_text(f"A\nB\nC\n{known}\nD\n")
    (clean / "B" / "groundtruth.txt").write_text("1,2,3\n")
    found = defects(clean.parent)
    assert found["C", "repeated-video"].detail == "the same images and boxes as A"
    assert "line 1: 3 values instead of 4" in found["B", "annotation"].detail
    assert "list.txt names it" in found["D", "annotation"].detail
    assert "do not match" in found[known, "known-defect"].detail


def test_withheld_ground_truth_is_no_defect(tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 4}, split="test")
    (folder / "A" / "groundtruth.txt").write_text("1,2,3,4\n")
    (folder / "A" / "absence.label").unlink()
    assert list(audit(open_dataset(f"got10k:{tmp_path}:test"))) == []


def test_workers_do_not_change_the_report(clean: Path) -> None:
    (clean / "A" / "00000002.jpg").write_bytes(b"no image")
    (clean / "B" / "absence.label").write_text("0\n1\n0\n0\n")
    one, two = (list(audit(open_dataset(f"got10k:{clean.parent}"), n)) for n in (1, 2))
    assert one == two
    assert [d.kind for d in one] == ["bad-image", "absent-frames"]


class Sent:
    """A dataset that counts how often it is sent to another process."""

    def __init__(self, dataset: VideoDataset) -> None:
        self.dataset, self.times = dataset, 0

    @property
    def names(self) -> Sequence[str]:
        return self.dataset.names

    def __getitem__(self, name: str) -> Video:
        return self.dataset[name]

    def __reduce__(self) -> tuple[type[Sent], tuple[VideoDataset]]:
        self.times += 1
        return Sent, (self.dataset,)


def test_a_dataset_is_sent_to_each_worker_once(tmp_path: Path) -> None:
    write_got10k(tmp_path, dict.fromkeys("ABCDEF", 1))
    sent = Sent(open_dataset(f"got10k:{tmp_path}:train"))
    assert len(list(audit(sent, 2))) == len(list(audit(sent, 1)))  # type: ignore[arg-type]
    assert 1 <= sent.times <= 2


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    import cv2

    file = tmp_path / f"1{suffix}"
    write_images(tmp_path, [1])
    cv2.imwrite(str(file), cv2.imread(str(tmp_path / "00000001.jpg")))
    assert inspect_image(file).size == (64, 48)
    assert not inspect_image(file).problem
    file.write_bytes(file.read_bytes()[:300])
    assert inspect_image(file).problem
    assert "cannot be read" in inspect_image(tmp_path / f"2{suffix}").problem


@pytest.mark.parametrize("cut", [1, 2, 100, 1000])
def test_a_jpeg_that_lacks_its_last_bytes_is_truncated(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "1.jpg"
    file.write_bytes(jpeg()[:-cut])
    assert "truncated" in inspect_image(file).problem


def test_command_line(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"got10k:{clean.parent}"
    assert Audit(spec, workers=1).run() == 0
    assert "2 videos, no defect" in capsys.readouterr().out.replace("\n", "")
    (clean / "B" / "absence.label").write_text("0\n1\n0\n0\n")
    assert Audit(spec, workers=1, json=True).run() == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["videos"], report["counts"]) == (2, {"absent-frames": 1})
    assert report["defects"][0]["video"] == "B"
    assert Audit(spec, workers=1, ignore=("absent-frames",)).run() == 0
    capsys.readouterr()
    assert Audit(spec, workers=1).run() == 1
    assert "absent-frames" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["datasets", "audit", "got10k:/nothing/here"])
    assert main() == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("python -m datasets: /nothing/here: there is no such folder")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("text", "row", "said", "videos"),
    [
        ("../v1\nA\nB\n", 1, "'../v1' is not a video name", 2),
        ("A\nB\nA\n", 3, "'A' stands here a second time (first in line 1)", 2),
        ("../v1\n", 1, "'../v1' is not a video name", 0),
        ("# A\n", None, "the list holds no video name", 0),
    ],
)
def test_a_fault_of_the_list_is_a_defect_and_the_other_videos_are_inspected(
    text: str, row: int | None, said: str, videos: int, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, spec = clean / "list.txt", f"got10k:{clean.parent}"
    listed.write_text(text)
    (clean / "B" / "absence.label").write_text("0\n1\n0\n0\n")
    assert Audit(spec, workers=2, json=True).run() == 1
    report = json.loads(capsys.readouterr().out)
    fault, *others = report["defects"]
    assert (fault["video"], fault["kind"], fault["path"], fault["row"]) == ("", "list", str(listed), row)
    assert said in fault["detail"]
    assert [defect["video"] for defect in others] == ["B"] * bool(videos)
    assert report["videos"] == videos
    assert Audit(spec, workers=1, ignore=("absent-frames",)).run() == 1
    assert f"1 defect in 0 of {videos} video" in capsys.readouterr().out.replace("\n", "")
    with pytest.raises(DataError):
        open_dataset(spec)  # nobody else takes such a list


def test_a_faulty_list_to_leave_out_is_refused(clean: Path, tmp_path: Path) -> None:
    """Else the audit would look at videos that were to be left out."""
    (tmp_path / "without.txt").write_text("A\n../B\n")
    with pytest.raises(DataError, match="line 2"):
        Audit(f"got10k:{clean.parent}", exclude=tmp_path / "without.txt", workers=1).run()


def test_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ ":train:" is an emoji to rich, "[red]" a colour, and "[/]" an error."""
    root = tmp_path / "[red]x" / "[/]"
    write_got10k(root, {"[b]A": 3})
    spec = f"got10k:{root}:train"
    assert Audit(spec, workers=1).run() == 0
    assert f"{spec}: 1 video, no defect" in capsys.readouterr().out.replace("\n", "")
    (root / "train" / "[b]A" / "absence.label").write_text("0\n1\n0\n")
    assert Audit(spec, workers=1).run() == 1
    said = capsys.readouterr().out
    assert "[b]A" in said and f"{spec}: 1 defect in 1 of 1 video" in said.replace("\n", "")


def test_real_folders(real_data: Path) -> None:
    clips = open_dataset(f"got10k:{real_data / 'got10k_layout'}")
    clips.names = clips.names[::4]  # decoding all of them takes several seconds
    assert list(audit(clips)) == []
    otb = open_dataset(f"otb:{real_data / 'otb'}")
    otb.names = ["David", "Diving"]
    (diving,) = audit(otb)
    assert (diving.video, diving.kind) == ("Diving", "row-counts")
    human = list(audit(open_dataset(f"got10k:{real_data / 'malformed_got10k_layout'}")))
    assert {d.kind for d in human} == {"row-counts"}
    assert len(human) == 4
    # Two sequences of OTB end with a box of zeros.
    zeros = defects(real_data / "annotations" / "OTB100", "annotations")
    assert set(zeros) == {("Board", "invalid-box"), ("Twinnings", "invalid-box")}


def test_as_many_workers_as_cores_that_it_may_use() -> None:
    """Not as many as the machine has: in a container that may be a hundred."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert Audit("got10k:x").workers == 1
    finally:
        os.sched_setaffinity(0, before)
