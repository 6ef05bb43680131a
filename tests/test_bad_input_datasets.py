"""Bad input: every kind is refused with the file, the row where there is one, the value and the remedy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tiny_videos import rows, write_got10k, write_images

from datasets import open_dataset
from datasets.audit import audit
from datasets.errors import DataError
from datasets.images import read_image
from datasets.results import ResultsFolder, write_results
from datasets.spec import opened
from pipeline.source import read_annotations


def groundtruth(text: str | bytes) -> Callable[[Path], str]:
    """A GOT-10k folder whose ground truth is `text`."""

    def break_it(root: Path) -> str:
        file = write_got10k(root, {"A": 3}) / "A" / "groundtruth.txt"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return f"got10k:{root}"

    return break_it


def names(text: str | bytes | None) -> Callable[[Path], str]:
    """A GOT-10k folder whose list.txt is `text`; None for no list."""

    def break_it(root: Path) -> str:
        listed = write_got10k(root, {"A": 3}) / "list.txt"
        listed.unlink()
        if text is not None:
            listed.write_bytes(text if isinstance(text, bytes) else text.encode())
        return f"got10k:{root}"

    return break_it


def changed(change: Callable[[Path], object], length: int = 3) -> Callable[[Path], str]:
    """A GOT-10k folder whose video A was changed."""

    def break_it(root: Path) -> str:
        change(write_got10k(root, {"A": length}) / "A")
        return f"got10k:{root}"

    return break_it


def remove_folder(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def remove_images(folder: Path) -> None:
    for file in folder.glob("*.jpg"):
        file.unlink()


def uav_without_its_images(root: Path) -> str:
    write_images(root / "data_seq" / "UAV123" / "bird1", range(1, 4))
    (root / "anno" / "UAV123").mkdir(parents=True)
    (root / "anno" / "UAV123" / "bird1_2.txt").write_text(rows(5))
    return f"uav123:{root}"


def vot(text: str) -> Callable[[Path], str]:
    def break_it(root: Path) -> str:
        write_images(root / "a" / "color", range(1, 3))
        (root / "a" / "groundtruth.txt").write_text(text)
        (root / "list.txt").write_text("a\n")
        return f"vot:{root}"

    return break_it


def lasot(flags: str | None) -> Callable[[Path], str]:
    def break_it(root: Path) -> str:
        write_images(root / "bear-1" / "img", range(1, 4))
        (root / "bear-1" / "groundtruth.txt").write_text(rows(3))
        if flags is None:
            return f"lasot:{root}"
        (root / "bear-1" / "out_of_view.txt").write_text(flags)
        return f"lasot:{root}:all"

    return break_it


# What is wrong; where it is, below the root; the line; what was found; what to do.
CASES: dict[str, tuple[Callable[[Path], str], str, int | None, str, str]] = {
    "three columns": (
        groundtruth("1,2,3\n1,2,3\n1,2,3\n"),
        "train/A/groundtruth.txt",
        1,
        "3 values instead of 4: '1,2,3'",
        "Write one row of numbers per frame",
    ),
    "ragged": (
        groundtruth("1,2,3,4\n1,2,3,4\n1,2,3,4,5\n"),
        "train/A/groundtruth.txt",
        3,
        "5 values instead of 4, while the 2 rows before have 4",
        "x,y,w,h",
    ),
    "a word": (
        groundtruth("1,2,3,4\n1,two,3,4\n"),
        "train/A/groundtruth.txt",
        2,
        "value 2 is 'two', not a number",
        "x,y,w,h",
    ),
    "infinity": (
        groundtruth("1,2,3,4\n1,2,inf,4\n"),
        "train/A/groundtruth.txt",
        2,
        "value 3 is 'inf', not a finite number",
        "NaN,NaN,NaN,NaN",
    ),
    "nothing between commas": (
        groundtruth("1,2,,4\n"),
        "train/A/groundtruth.txt",
        1,
        "value 3 is missing between two commas",
        "x,y,w,h",
    ),
    "blank line in between": (
        groundtruth("1,2,3,4\n\n1,2,3,4\n"),
        "train/A/groundtruth.txt",
        2,
        "a blank line stands between rows",
        "x,y,w,h",
    ),
    "empty file": (groundtruth("\n \n"), "train/A/groundtruth.txt", None, "the file is empty", "x,y,w,h"),
    "not text": (
        groundtruth(b"1,2,3,4\n\xff\xd8\xff\xe0"),
        "train/A/groundtruth.txt",
        2,
        "this is not text (byte 0xff)",
        "Restore the file",
    ),
    "no ground truth": (
        changed(lambda a: (a / "groundtruth.txt").unlink()),
        "train/A/groundtruth.txt",
        None,
        "there is no such file",
        "Restore it, or exclude the video",
    ),
    "flag that is none": (
        changed(lambda a: (a / "absence.label").write_text("0\n2\n0\n")),
        "train/A/absence.label",
        2,
        "the value is 2",
        "one whole number from 0 to 1",
    ),
    "half a flag": (
        lasot("0,0.5,0\n"),
        "bear-1/out_of_view.txt",
        None,
        "value 2 is 0.5",
        "one whole number from 0 to 1",
    ),
    "no folder for a listed name": (
        changed(remove_folder),
        "train/A",
        None,
        "there is no such folder, though list.txt names it",
        "remove A from",
    ),
    "no images": (
        changed(remove_images),
        "train/A",
        None,
        "the folder holds no image (2 other entries)",
        "Put its images",
    ),
    "image without a number": (
        changed(lambda a: (a / "00000002.jpg").rename(a / "two.jpg")),
        "train/A/two.jpg",
        None,
        "name does not end in a number",
        "Name images by their number",
    ),
    "two images with one number": (
        changed(lambda a: (a / "2.jpg").touch()),
        "train/A",
        None,
        "00000002.jpg and 2.jpg are both image 2",
        "Remove one of the two",
    ),
    "missing image in between": (
        changed(lambda a: (a / "00000002.jpg").unlink()),
        "train/A",
        None,
        "2 images for 3 boxes, and image 2 is missing in between",
        "Restore the missing images",
    ),
    "list.txt missing": (
        names(None),
        "train/list.txt",
        None,
        "there is no list.txt",
        "one video name per line",
    ),
    "list.txt empty": (
        names("\n# A\n"),
        "train/list.txt",
        None,
        "the list holds no video name",
        "Write one video name",
    ),
    "list.txt leaves the folder": (
        names("A\n../../etc\n"),
        "train/list.txt",
        2,
        "'../../etc' is not a video name",
        "plain folder name",
    ),
    "list.txt has an absolute path": (
        names("/etc\n"),
        "train/list.txt",
        1,
        "'/etc' is not a video name",
        "plain folder name",
    ),
    "list.txt names a video twice": (
        names("A\nB\nA\n"),
        "train/list.txt",
        3,
        "'A' stands here a second time (first in line 1)",
        "Remove one",
    ),
    "list.txt is not text": (
        names(b"A\n\xff\xfe"),
        "train/list.txt",
        None,
        "the list is not text",
        "Save the list as UTF-8",
    ),
    "UAV123 images of another part": (
        uav_without_its_images,
        "data_seq/UAV123/bird1",
        None,
        "bird1_2 is images 775 to 1477, none of which",
        "Restore",
    ),
    "VOT masks": (
        vot("m0,0,2,2,1\n"),
        "a/groundtruth.txt",
        1,
        "5 values are no rectangle or polygon",
        "masks are not supported",
    ),
    "VOT ragged polygons": (
        vot("0,0,4,0,4,4,0,4\n0,0,4,4\n"),
        "a/groundtruth.txt",
        2,
        "4 values instead of 8",
        "polygon",
    ),
    "LaSOT without a list": (
        lasot(None),
        "testing_set.txt",
        None,
        "there is no list of the test split",
        "for the 1 videos that are here",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_with_file_row_value_and_remedy(case: str, tmp_path: Path) -> None:
    break_it, place, row, problem, remedy = CASES[case]
    spec = break_it(tmp_path)
    with pytest.raises(DataError) as caught:
        list(open_dataset(spec))
    error = caught.value
    assert error.path == tmp_path / place
    assert error.row == row
    where = str(tmp_path / place) if row is None else f"{tmp_path / place}, line {row}"
    assert str(error).startswith(f"{where}: ")
    assert problem in str(error)
    assert remedy in str(error)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("got10:{root}", "'got10' is not a kind of dataset; did you mean got10k:...?"),
        ("{root}", "is not a kind of dataset"),
        ("got10k", "the root is missing. Write got10k:ROOT"),
        ("got10k:", "the root is missing"),
        ("got10k:{root}/nothing", "nothing: there is no such folder; {root} holds"),
        ("got10k:{root}/file.txt", "this is a file, not a folder"),
        (
            "got10k:{root}/good:test",
            "there is no split 'test'; the splits here are train. Name a split that exists",
        ),
        ("got10k:{root}", "there is no such folder. Give {root}/good as the root"),
        ("got10k:{root}/good/train:val", "holds no split 'val'. Give {root}/good, or leave the split out"),
        ("got10k:{root}/empty", "there is no split 'train'; {root}/empty holds nothing"),
        ("otb:{root}/empty", "no folder here holds a groundtruth_rect.txt"),
        ("otb:{root}/empty:test", "otb has no splits, but 'test' was asked for. Write otb:{root}/empty"),
        ("uav123:{root}/empty", "Give the folder that holds anno/ and data_seq/"),
        ("lasot:{root}/empty:val", "there is no split 'val'. Name one of test, train, all"),
        ("lasot:{root}/empty", "no folder here holds a groundtruth.txt"),
        ("vot:{root}/good", "Give {root}/good/train as the root"),
        ("annotations:{root}/empty", "the folder holds no NAME.txt"),
        ("got10k:~nobody-of-this-name/x", "Could not determine home directory. Write the folder in full"),
    ],
)
def test_specs_that_name_no_dataset(spec: str, message: str, tmp_path: Path) -> None:
    write_got10k(tmp_path / "good", {"A": 1})
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(ValueError) as caught:
        open_dataset(spec.format(root=tmp_path))
    assert message.format(root=tmp_path) in str(caught.value)


@pytest.mark.parametrize("harm", ["dangling image", "image loop", "long name"])
def test_what_the_system_refuses_is_one_videos_fault(harm: str, tmp_path: Path) -> None:
    folder = write_got10k(tmp_path, {"A": 3, "B": 3})
    said, image = "cannot be read", folder / "B" / "00000002.jpg"
    if "image" in harm:
        image.unlink()
        image.symlink_to("nowhere.jpg" if harm == "dangling image" else image.name)
    else:
        said = "File name too long"
        (folder / "list.txt").write_text(f"A\n{'B' * 300}\n")
    spec = f"got10k:{tmp_path}:train"
    names = open_dataset(spec).names
    good, bad = read_annotations(spec, None, names)
    assert not isinstance(good, DataError) and good[0].name == "A"
    assert isinstance(bad, DataError)
    assert said in str(bad) and names[1] in str(bad) and "exclude" in str(bad)
    kinds = {(defect.video, defect.kind) for defect in audit(open_dataset(spec))}
    assert kinds <= {(names[1], "annotation"), (names[1], "bad-image")} and kinds
    opened.cache_clear()


@contextmanager
def piped(path: Path) -> Iterator[None]:
    """A named pipe in a file's place: who opens it gets the file's content, where in earnest he would wait for ever."""
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError):
            path.write_bytes(content)

    writer = Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        end = os.open(path, os.O_RDWR)  # lets the writer through, which nobody has read
        writer.join()
        os.close(end)


@pytest.mark.parametrize("file", ["groundtruth.txt", "00000002.jpg"])
def test_a_pipe_in_a_files_place_is_refused_and_not_waited_for(file: str, tmp_path: Path) -> None:
    path = write_got10k(tmp_path, {"A": 3}) / "A" / file
    dataset = open_dataset(f"got10k:{tmp_path}")
    with piped(path):
        with pytest.raises(DataError, match=r"cannot be read \(this is a named pipe, not a file\)") as caught:
            read_image(dataset["A"].frames[1])
        assert caught.value.path == path
        (defect,) = audit(dataset)
        assert (defect.kind, defect.path) == ("annotation" if "txt" in file else "bad-image", path)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    images = tmp_path / "Cafe" / "img"
    write_images(images, range(1, 3))
    (tmp_path / "Cafe" / "groundtruth_rect.txt").write_text(rows(2, base=1))
    (images / "00000002.jpg").rename(images / os.fsdecode(b"\xe9_0002.jpg"))
    (video,) = open_dataset(f"otb:{tmp_path}")
    assert len(video.digest()) == 32  # images keep whatever names they have
    (tmp_path / "Cafe").rename(tmp_path / os.fsdecode(b"Caf\xe9"))
    with pytest.raises(DataError) as caught:
        open_dataset(f"otb:{tmp_path}")
    said = r"the name of the video b'Caf\xe9' is not UTF-8. Rename its folder and files."
    assert str(caught.value) == f"{tmp_path}: {said}"


def test_files_that_macos_adds_are_no_annotations(tmp_path: Path) -> None:
    for folder in (tmp_path / "plain", tmp_path / "uav" / "anno" / "UAV123"):
        folder.mkdir(parents=True)
        (folder / "bike1.txt").write_text("1,1,5,5\n")
        (folder / "._bike1.txt").write_bytes(b"\0\5\x16\7")
    for spec in (f"annotations:{tmp_path / 'plain'}", f"uav123:{tmp_path / 'uav'}"):
        assert open_dataset(spec).names == ("bike1",)


def test_exclusion_lists(tmp_path: Path) -> None:
    write_got10k(tmp_path, {"A": 1, "B": 1})
    listed = tmp_path / "exclude.txt"
    with pytest.raises(DataError, match=r"exclude\.txt: there is no such list .* Give its path"):
        open_dataset(f"got10k:{tmp_path}", exclude=listed)
    listed.write_text("A\nB\n")
    with pytest.raises(DataError, match=r"the list excludes all 2 videos\. Remove the names to be kept"):
        open_dataset(f"got10k:{tmp_path}", exclude=listed)


def test_results(tmp_path: Path) -> None:
    boxes = [[1, 2, 3, 4]] * 3
    file = write_results(tmp_path / "r", "T", "A", boxes)
    results = ResultsFolder(tmp_path / "r")
    with pytest.raises(
        DataError, match=r"A_001\.txt: 3 rows for a video of 4 frames: .* is shorter .* Run the tracker"
    ):
        results.read("T", "A", 4)
    with pytest.raises(DataError, match=r"3 rows for a video of 2 frames: .* is longer"):
        results.read("T", "A", 2)
    with pytest.raises(
        DataError, match=r"T has no result for B \(it has 1 others\)\. Run the tracker on this video"
    ):
        results.read("T", "B")
    with pytest.raises(DataError, match=r"no results of 'U'; there are those of T\. Name one of them"):
        results.read("U", "A")
    file.write_text("1\n0\n0\n2\n")
    with pytest.raises(
        DataError, match=r"A_001\.txt, line 1: 1 value instead of 4: '1'.*VOT's restart experiment"
    ):
        results.read("T", "A")
    file.write_text("1,2,3,4\n1,2,3,")
    with pytest.raises(DataError, match="line 2: value 4 is missing"):  # as a killed run leaves it
        results.read("T", "A")
    with pytest.raises(
        DataError, match=r"T: these are the results of one tracker\. Give .*/r, and T as the tracker"
    ):
        ResultsFolder(tmp_path / "r" / "T")
    with pytest.raises(DataError, match="there is no such folder"):
        ResultsFolder(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there are no results; .*empty holds nothing\. Give a folder with"):
        ResultsFolder(tmp_path / "empty")


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"boxes have shape \(T, 4\) with T > 0, not \(0, 4\)"):
        write_results(tmp_path, "T", "A", np.empty((0, 4)))
    for tracker, video in (("T", "../A"), ("../T", "A"), ("T", "..")):
        with pytest.raises(ValueError, match="leads elsewhere"):
            write_results(tmp_path / "root", tracker, video, [[1, 2, 3, 4]])
    with pytest.raises(ValueError, match="layout otb has no repetition 2"):
        write_results(tmp_path, "T", "A", [[1, 2, 3, 4]], "otb", repetition=2)
    with pytest.raises(ValueError, match=r"seconds have shape \(2,\) for 1 boxes"):
        write_results(tmp_path, "T", "A", [[1, 2, 3, 4]], seconds=[1, 2])
    assert not list(tmp_path.rglob("*.txt"))
