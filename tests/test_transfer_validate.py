"""`validate` finds every changed byte and every broken invariant."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transfer_samples import make_video, write_sample

from datasets.command_line import run_command
from datasets.errors import DataError
from datasets.transfer.command import Info, Validate, description
from datasets.transfer.format import ARRAYS, FRAMES_ARRAYS, USER_BLOCK
from datasets.transfer.reader import TransferReader
from datasets.transfer.seal import Extent, make_seal, read_seal
from datasets.transfer.structure import find_extents
from datasets.transfer.validate import validate


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    videos = [make_video(folder, "alpha"), make_video(folder, "beta", size=(40, 64), seed=1)]
    path, _ = write_sample(folder / "set", videos)
    return path


@pytest.fixture
def copy(sample, tmp_path):
    shutil.copytree(sample.parent, tmp_path / "set")
    return tmp_path / "set" / sample.name


@settings(max_examples=150, deadline=None)
@example(name="frames.h5", place=0.764774181220662, bit=0)  # turns an array into a type
@given(
    name=st.sampled_from(["P-0.5.h5", "frames.h5"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_is_reported(sample, name, place, bit):
    file = sample.with_name(name)
    data = bytearray(file.read_bytes())
    kept = bytes(data)
    data[int(place * len(data))] ^= 1 << bit
    try:
        file.write_bytes(data)
        assert validate(file) != []
        assert validate(sample) != []
    finally:
        file.write_bytes(kept)


@pytest.mark.parametrize("name", ["P-0.5.h5", "frames.h5"])
@pytest.mark.parametrize("keep", [0, 100, 4096, 6000, -1])
def test_cut_files_are_reported(copy, name, keep):
    file = copy.with_name(name)
    file.write_bytes(file.read_bytes()[:keep])
    assert any("cut or extended" in str(p) or "seal" in str(p) for p in validate(file))
    assert validate(copy) != []


def test_the_damaged_array_and_row_are_named(copy):
    data = bytearray(copy.read_bytes())
    with h5py.File(copy) as file:
        place = file["boxes/teacher"].id.get_offset()
    data[place + 5] ^= 1
    copy.write_bytes(data)
    assert [p.where for p in validate(copy)] == ["boxes/teacher"]
    frames = copy.with_name("frames.h5")
    with h5py.File(frames) as file:
        place = file["frames/data"].id.get_offset() + int(file["frames/offset"][7])
    data = bytearray(frames.read_bytes())
    data[place + 30] ^= 1
    frames.write_bytes(data)
    assert [p.where for p in validate(frames)] == ["frames/data, row 7"]


def edit(path, name, index, value):
    """Change a file and seal it again, as a faulty writer would."""
    with h5py.File(path, "r+") as file:
        if name.startswith("@"):
            file.attrs[name[1:]] = value
        else:
            file[name][index] = value
    frames = path.name == "frames.h5"
    with h5py.File(path) as file:
        extents = find_extents(file, FRAMES_ARRAYS if frames else ARRAYS)
    make_seal(path, extents, by_rows="frames/data" if frames else None)


@pytest.mark.parametrize(
    ("name", "index", "value", "where", "what"),
    [
        ("overlap/iou", (2, 1, 0), 0.75, "overlap/iou, window 2", "is not the overlap"),
        ("overlap/best", (0, 0), 9, "overlap/best, window 0", "frame 0 says teacher 9"),
        (
            "boxes/teacher",
            (1, 2, 0, 0),
            500.0,
            "overlap/iou, window 1",
            "falls to 0.000000, not above β = 0.5",
        ),
        ("boxes/teacher", (1, 2, 0), np.nan, "boxes/teacher, window 1", "neither all finite nor all NaN"),
        ("boxes/teacher", (3, slice(None), 0), np.nan, "boxes/teacher, window 3", "no teacher is positive"),
        (
            "boxes/teacher",
            (2, slice(None), 1),
            np.nan,
            "boxes/teacher, window 2",
            "other teachers are positive",
        ),
        ("boxes/ground_truth", (0, 3), -1.0, "boxes/ground_truth, window 0", "not marked absent"),
        ("boxes/absent", (0, 3), 7, "boxes/absent, window 0", "other values than 0 and 1"),
        ("boxes/absent", (0, 3), 1, "boxes/absent, window 0", "absent_policy is 'fail'"),
        ("windows/start", 2, 6, "windows/start, window 2", "starts at 6 in a video of 9 frames"),
        ("windows/start", 1, 1, "windows/frame, window 1", "not its frames"),
        ("windows/start", 0, -1, "windows/start, window 0", "starts at -1"),
        ("windows/video", 1, 2, "windows/video, window 1", "names video 2 of 2"),
        ("windows/frame", (0, 0), 99, "windows/frame, window 0", "rows 99"),
        ("windows/frame", (5, 3), 18, "windows/frame, window 5", "rows 14 ... 18 are not there"),
        ("windows/frame", 0, np.arange(9, 13), "windows/frame, window 0", "not its frames of its video"),
        ("videos/name", 0, b"../up", "videos/name, row 0", "not a plain name"),
        ("videos/name", 1, b"alpha", "videos/name, row 1", "also stands in row 0"),
        ("@beta", None, 1.0, "attribute beta", "not in [0, 1)"),
        ("@beta", None, "high", "attribute beta", "not a float"),
        ("@format_version", None, 2, "file", "format_version 2"),
        ("@frames_fingerprint", None, "0" * 64, "file", "another build"),
        ("@absent_policy", None, "maybe", "attribute absent_policy", "neither"),
    ],
)
def test_broken_sets(copy, name, index, value, where, what):
    edit(copy, name, index, value)
    problems = validate(copy)
    assert any(p.where == where and what in p.what for p in problems), [str(p) for p in problems]


@pytest.mark.parametrize(
    ("name", "index", "value", "where", "what"),
    [
        ("frames/offset", 3, 0, "frames/offset, row 2", "ends at 0"),
        ("frames/offset", 3, lambda offset: offset[2], "frames/offset, row 2", "begins at"),
        ("frames/offset", 0, 1, "frames/offset", "runs from 1"),
        ("frames/digest", (4, 0), lambda digest: digest[4, 0] ^ 1, "frames/data, row 4", "digest differs"),
        ("frames/size", (5, 0), 1, "frames/data, row 5", "frames/size says 1 x"),
        ("frames/size", (5, 0), 0, "frames/window, row 5", "no part of an image"),
        ("frames/window", (6, 0), -1.0, "frames/window, row 6", "no part of an image"),
        (
            "frames/window",
            (6, 2),
            lambda window: 73 - window[6, 0],
            "frames/window, row 6",
            "image of [72, 50]",
        ),
        ("frames/window", (6, 2), np.nan, "frames/window, row 6", "no part of an image"),
        ("frames/video", 17, 4, "frames/video, row 17", "names video 4 of 2"),
        ("frames/video", slice(9, 18), 2, "frames/index, row 9", "video 2, frame 0 does not follow"),
        ("frames/video", slice(0, 9), 1, "frames/index, row 0", "video 1, frame 0 does not follow"),
        ("frames/index", 1, 0, "frames/index, row 1", "does not follow"),
        ("frames/index", 0, -1, "frames/index, row 0", "frame -1 is negative"),
        ("frames/video_name", 0, b"..", "frames/video_name, row 0", "not a plain name"),
    ],
)
def test_broken_frames(copy, name, index, value, where, what):
    frames = copy.with_name("frames.h5")
    if callable(value):
        with h5py.File(frames) as file:
            value = value(file[name][()])
    edit(frames, name, index, value)
    problems = validate(frames)
    assert any(p.where == where and what in p.what for p in problems), [str(p) for p in problems]


@pytest.mark.parametrize(("policy", "window", "frame"), [("fail", 0, 0), ("ignore", 1, 2)])
def test_frame_0_and_absent_frames_that_are_ignored_are_judged_by_nobody(copy, policy, window, frame):
    edit(copy, "@absent_policy", None, policy)
    edit(copy, "boxes/absent", (window, frame), 1)
    edit(copy, "boxes/teacher", (window, frame, 0, 0), 500.0)
    edit(copy, "overlap/iou", (window, frame, 0), 0.0)
    edit(copy, "overlap/best", (window, frame), 1)
    assert validate(copy) == []
    if policy == "ignore":
        edit(copy, "boxes/absent", (window, frame), 0)
        assert ["falls to 0.000000" in p.what for p in validate(copy)] == [True]


def test_an_overlap_of_beta_itself_is_not_above_it(copy):
    with h5py.File(copy) as file:
        half = file["boxes/ground_truth"][1, 2] * np.float32([1, 1, 0.5, 1])
    edit(copy, "boxes/teacher", (1, 2, 0), half)
    edit(copy, "overlap/iou", (1, 2, 0), 0.5)
    edit(copy, "overlap/best", (1, 2), 1)
    (problem,) = validate(copy)
    assert problem.where == "overlap/iou, window 1"
    assert "falls to 0.500000, not above β = 0.5" in problem.what


def test_layout_is_checked(copy):
    with h5py.File(copy, "r+") as file:
        del file["overlap/best"], file["boxes/absent"], file["windows/start"], file.attrs["pool"]
        del file["boxes/ground_truth"]
        file["boxes/ground_truth"] = np.zeros((6, 4, 5), np.float32)
        file["overlap/best"] = np.zeros((5, 4), np.int8)
        file["boxes/absent"] = np.zeros((6, 4), np.int16)
    with h5py.File(copy) as file:
        extents = find_extents(file, [a for a in ARRAYS if a.name != "windows/start"])
    make_seal(copy, extents)
    found = {p.where: p.what for p in validate(copy)}
    assert "N is 5, but 6 in windows/video" in found["overlap/best"]
    assert "dtype int16, not |u1" in found["boxes/absent"]
    assert "shape [6, 4, 5], where 5 stands for 4" in found["boxes/ground_truth"]
    assert found["windows/start"] == "is missing"
    assert found["attribute pool"] == "is missing"


def test_a_chunked_array_is_reported(copy):
    with h5py.File(copy, "r+") as file:
        best = file["overlap/best"][()]
        del file["overlap/best"]
        file.create_dataset("overlap/best", data=best, chunks=(3, 4))
        extents = find_extents(file, [a for a in ARRAYS if a.name != "overlap/best"])
    make_seal(copy, extents)
    assert [(p.where, p.what) for p in validate(copy)] == [("overlap/best", "is chunked, not contiguous")]


def test_a_link_that_leaves_the_folder_is_refused(copy):
    with h5py.File(copy, "r+") as file:
        del file["frames"]
        file["frames"] = h5py.ExternalLink("../frames.h5", "/frames")
    edit(copy, "@seed", None, 0)
    assert "not in a file beside it" in validate(copy)[0].what


def test_command_line(copy, capsys):
    commands = {"info": Info, "validate": Validate}
    frames = str(copy.with_name("frames.h5"))
    assert run_command(commands, "datasets", args=["validate", str(copy), frames]) == 0
    assert "2 files valid" in capsys.readouterr().out
    assert run_command(commands, "datasets", args=["info", str(copy), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["teachers"]["kcf"]["share_of_windows"] == 1.0
    assert facts["teachers"]["Größe"]["windows"] == 3
    assert facts["pixels"]["frames"] == 18
    assert run_command(commands, "datasets", args=["info", frames]) == 0
    assert "region" in capsys.readouterr().out
    edit(copy, "overlap/best", (0, 0), 9)
    assert run_command(commands, "datasets", args=["validate", str(copy), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["where"] == "overlap/best, window 0"
    assert run_command(commands, "datasets", args=["info", str(copy) + "x"]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert run_command(commands, "datasets", args=["info", str(copy.parent)]) == 2
    assert f"{copy.parent}: is a folder. Name a file" in capsys.readouterr().err
    assert run_command(commands, "datasets", args=["info", str(copy)]) == 0
    assert facts["attributes"]["frames_fingerprint"] in "".join(capsys.readouterr().out.split())


def test_a_damaged_set_hides_no_damaged_image(copy, capsys):
    frames = copy.with_name("frames.h5")
    edit(copy, "overlap/best", (0, 0), 9)
    with h5py.File(frames) as file:
        place = file["frames/data"].id.get_offset() + 5
    data = bytearray(frames.read_bytes())
    data[place] ^= 1
    frames.write_bytes(data)
    run_command({"validate": Validate}, "datasets", args=["validate", str(copy), str(frames)])
    said = capsys.readouterr().out
    assert "overlap/best, window 0" in said
    assert f"{frames}: frames/data" in said


def test_one_kind_of_file_for_the_other(copy):
    frames = copy.with_name("frames.h5")
    with pytest.raises(DataError, match=r"this is the pixels of .*frames.h5\). Give a transfer set"):
        TransferReader(frames)


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("array", ["frames/video", "frames/offset", "frames/size"])
def test_damaged_tables_of_a_linked_file_are_told_and_never_followed(copy, array, bit):
    frames = copy.with_name("frames.h5")
    with h5py.File(frames) as file:
        place = file[array].id.get_offset() + 5
    data = bytearray(frames.read_bytes())
    data[place] ^= 1 << bit
    frames.write_bytes(data)
    for pixels in (True, False):
        (problem,) = validate(copy, pixels)
        assert (problem.path, problem.where) == (frames, array)
    for read in (TransferReader, description):
        with pytest.raises(DataError, match=f"frames.h5: {array}: its .* changed"):
            read(copy)


@pytest.mark.parametrize(("row", "said"), [(18, "rows up to 18 of 18 stored"), (-1, "rows up to 17 of 18")])
def test_a_window_of_images_that_are_not_there_is_never_read(copy, row, said):
    edit(copy, "windows/frame", (0, 0), row)
    with pytest.raises(DataError, match=said):
        TransferReader(copy)


def test_a_damaged_box_is_never_read(copy):
    with h5py.File(copy) as file:
        place = file["boxes/teacher"].id.get_offset() + 5
    data = bytearray(copy.read_bytes())
    data[place] ^= 1
    copy.write_bytes(data)
    for read in (TransferReader, description):
        with pytest.raises(DataError, match=r"boxes/teacher: its .* repair` mends it"):
            read(copy)


def test_a_file_that_is_not_there_does_not_hide_what_is_wrong_with_others(copy, tmp_path, capsys):
    edit(copy, "overlap/best", (0, 0), 9)
    files = [str(copy), str(tmp_path / "absent.h5"), str(tmp_path), str(copy)]
    assert run_command({"info": Info, "validate": Validate}, "datasets", args=["validate", *files]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and "overlap/best, window 0" in said[0]
    assert said[1] == f"{tmp_path / 'absent.h5'}: file: cannot be read (No such file or directory)"
    assert said[2] == f"{tmp_path}: file: cannot be read (Is a directory). Name the sets in this folder"


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([(USER_BLOCK, 100), (USER_BLOCK + 99, 10)], "second at .* overlaps what lies before it"),
        ([(USER_BLOCK - 1, 100)], "first at .* overlaps"),
        ([(USER_BLOCK + 100, 1_000_000)], "canonical form"),
    ],
)
def test_a_seal_of_arrays_that_cannot_lie_so_is_damaged(copy, places, said):
    make_seal(copy, [Extent(n, *place) for n, place in zip(("first", "second"), places, strict=False)])
    with pytest.raises(DataError, match=f"the seal in its first .* bytes is damaged .*{said}"):
        read_seal(copy)


def test_a_seal_that_does_not_fit_is_not_written(copy):
    before = copy.read_bytes()
    with pytest.raises(ValueError, match=f"does not fit the user block of {USER_BLOCK}"):
        make_seal(copy, [Extent("a" * USER_BLOCK, USER_BLOCK, 1)])
    assert copy.read_bytes() == before


def test_every_byte_of_a_long_array_is_covered(copy, monkeypatch):
    """As long as many of the pieces that it is read in."""
    monkeypatch.setattr("datasets.transfer.seal._STEP", 100)
    assert validate(copy) == []
    test_the_damaged_array_and_row_are_named(copy)


def test_every_byte_of_the_seal_is_covered(sample):
    """Bits of both seals, one byte after the other: names and numbers are part of what the digests cover."""
    for name in ("P-0.5.h5", "frames.h5"):
        file = sample.with_name(name)
        kept = file.read_bytes()
        try:
            for place in range(kept.index(b"\0") + 2):
                data = bytearray(kept)
                data[place] ^= 1 << place % 8
                file.write_bytes(data)
                assert validate(file, pixels=False) != [], (name, place)
        finally:
            file.write_bytes(kept)
