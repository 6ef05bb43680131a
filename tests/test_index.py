"""The index stage: procedural videos where they are wanted, and what it says of videos that cannot be read."""

import cv2
import numpy as np
import pytest
from tiny_videos import write_got10k

from datasets.errors import DataError
from datasets.spec import opened
from datasets.video import Video
from pipeline.index import Command, Index, make_index
from pipeline.params import read_params
from pipeline.source import read_unchanged

TEACHERS = {"teachers": {"kcf": {}}, "executor": {"workers": 1}}


def test_a_root_in_the_home_folder_is_there_for_procedural_videos_too(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    options = {"videos": 1, "max_length": 2, "image_size": [64, 64]}
    path = workspace(dataset={"kind": "synthetic", "root": "~/videos"}, synthetic=options, **TEACHERS)
    assert make_index(read_params(path)).names == ["Synthetic_Train_000001"]
    assert (tmp_path / "home" / "videos" / "train" / "list.txt").is_file()
    assert not (tmp_path / "~").exists()
    # The stage has no option --overwrite: what it says has to be possible.
    workspace(synthetic={**options, "videos": 2})
    with pytest.raises(DataError, match=r"videos is 1 there and 2 here\. .* or remove .*home/videos"):
        make_index(read_params(path))


def test_all_videos_that_cannot_be_read_are_named_at_once(workspace, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / "train" / name).mkdir(parents=True)
    (tmp_path / "train" / "list.txt").write_text("a\nb\nc\n")
    path = workspace(dataset={"kind": "got10k", "root": str(tmp_path)}, **TEACHERS)
    with pytest.raises(DataError) as caught:
        make_index(read_params(path))
    first, *broken = str(caught.value).splitlines()
    assert first.endswith(
        "3 of 3 videos cannot be read. Mend them, or name them in the file dataset.exclude:"
    )
    assert [line.split(":")[0] for line in broken] == [f"  {tmp_path}/train/{name}" for name in "abc"]


def test_a_worker_that_outlives_the_run_sees_lists_that_changed_since(workspace, tmp_path):
    """As one of a running scheduler does; here it is this process."""
    folder = write_got10k(tmp_path / "data", {"a": 3, "b": 4})
    (tmp_path / "exclude.txt").write_text("b\n")
    dataset = {"kind": "got10k", "root": str(tmp_path / "data"), "exclude": str(tmp_path / "exclude.txt")}
    path = workspace(dataset=dataset, **TEACHERS)
    assert make_index(read_params(path)).names == ["a"]
    (tmp_path / "exclude.txt").write_text("a\n")
    index = make_index(read_params(path))
    assert index.names == ["b"]
    (folder / "list.txt").write_text("a\n")
    opened.cache_clear()
    with pytest.raises(DataError, match="the video b was left out of its list, or excluded"):
        read_unchanged(index.spec, None, "b", index.digests[0])


def test_images_that_cannot_be_stored_as_they_are_stop_the_run_before_it_tracks(workspace, tmp_path):
    folder = write_got10k(tmp_path / "data", {"a": 3})
    for image in sorted((folder / "a").glob("*.jpg")):
        cv2.imwrite(str(image.with_suffix(".png")), np.zeros((40, 60, 3), np.uint8))
        image.unlink()
    dataset = {"kind": "got10k", "root": str(tmp_path / "data")}
    path = workspace(dataset=dataset, pack={"pixels": "source"}, **TEACHERS)
    out = tmp_path / "index.h5"
    with pytest.raises(DataError, match=r"\.png: is not JPEG, which pack.pixels: source stores untouched"):
        Command(path, out).run()
    assert not out.exists()
    assert Command(workspace(pack={}), out).run() == 0


def test_a_fingerprint_is_of_boxes_absence_and_images():
    boxes, absent = np.ones((3, 4), np.float32), np.array([False, True, False])
    plain, hidden = Video("v", (), boxes, ~absent & absent), Video("v", (), boxes, absent)
    indices = [
        Index.of("x", [plain], ["1"]),
        Index.of("x", [plain], ["2"]),
        Index.of("x", [hidden], ["1"]),
        Index.of("x", [Video("v", (), 2 * boxes, plain.absent)], ["1"]),
        Index.of("x", [Video("w", (), boxes, plain.absent)], ["1"]),
    ]
    assert len({index.fingerprint for index in indices}) == len(indices)
    assert Index.of("y", [plain], ["1"]).fingerprint == indices[0].fingerprint  # wherever it lies
