"""Round trips, byte identity and links of transfer sets."""

from __future__ import annotations

import hashlib
import platform
import shutil
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from transfer_samples import LENGTH, content, make_video, textured, write_sample

from datasets.boxes import overlap
from datasets.errors import DataError
from datasets.image_integrity import inspect_image
from datasets.images import decode_jpeg, read_image, read_with_content
from datasets.transfer.encoding import Encoding, FrameBlock, encode_video, row_digest, target_windows
from datasets.transfer.format import ARRAYS, FRAMES_ARRAYS, markdown
from datasets.transfer.reader import TransferReader
from datasets.transfer.record import TransferSet, best_teacher
from datasets.transfer.validate import validate
from datasets.transfer.writer import FramesWriter, write_set

DOCS = Path(__file__).parent.parent / "docs" / "transfer-set-format.md"


@pytest.fixture
def videos(tmp_path):
    beta = make_video(tmp_path, "beta", size=(40, 64), seed=1)
    return [make_video(tmp_path, "alpha"), replace(beta, object_class="another thing")]


@pytest.mark.parametrize("kind", ["region", "source"])
def test_what_is_read_is_what_was_written(tmp_path, videos, kind):
    path, made = write_sample(tmp_path, videos, Encoding(kind=kind))
    assert validate(path) == []
    with TransferReader(path) as reader:
        assert len(reader) == len(made)
        assert reader.content.provenance == made.provenance
        assert reader.content.video_name == made.video_name
        for n, window in enumerate(reader):
            np.testing.assert_array_equal(window.teacher, made.teacher[n])
            np.testing.assert_array_equal(window.ground_truth, made.ground_truth[n])
            np.testing.assert_array_equal(window.absent, made.absent[n])
            video = videos[int(made.window_video[n])]
            assert (window.video, window.start) == (video.name, made.window_start[n])
            assert window.object_class == video.object_class
            for t in range(LENGTH):
                source = video.frames[window.start + t].read_bytes()
                if kind == "source":
                    assert bytes(window.jpeg(t)) == source
                x, y, w, h = window.regions[t].astype(int)
                original = decode_jpeg(source, "RGB")[y : y + h, x : x + w].astype(int)
                assert np.abs(window.images()[t].astype(int) - original).mean() < 6
                np.testing.assert_array_equal(window.image(t), window.images()[t])
            exact = overlap(window.ground_truth[:, None], window.teacher)
            np.testing.assert_allclose(np.nan_to_num(window.iou), exact, atol=1e-6)
            assert (window.best == exact.argmax(axis=1)).all()
            np.testing.assert_array_equal(window.best_boxes(), window.teacher[np.arange(LENGTH), window.best])


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(), n=st.integers(0, 5), k=st.integers(1, 3), lengths=st.lists(st.integers(0, 40), max_size=6)
)
def test_any_boxes_and_any_pixels_round_trip(tmp_path_factory, data, n, k, lengths):
    """Windows, boxes and stored bytes of any content, none at all included."""
    folder = tmp_path_factory.mktemp("any")
    files = [data.draw(st.binary(min_size=size, max_size=size)) for size in lengths]
    m = len(files)
    block = FrameBlock(
        video="v/ü" if m else "v",
        index=np.arange(m, dtype=np.int32),
        data=b"".join(files),
        offset=np.cumsum([0, *lengths], dtype=np.int64),
        digest=np.array([row_digest(f) for f in files], dtype=np.uint8).reshape(-1, 16),
        window=data.draw(hnp.arrays(np.float32, (m, 4))),
        size=np.ones((m, 2), np.int32),
        image_size=np.ones((m, 2), np.int32),
    )
    with FramesWriter(folder / "frames.h5", Encoding()) as frames:
        frames.append(block)
    windows = n if m else 0
    boxes = hnp.arrays(np.float32, (windows, m, k, 4), elements=st.floats(-100, 100, width=32))
    truth = data.draw(boxes)[:, :, 0]
    made = replace(
        content([make_video(folder)]),
        provenance=replace(
            content([make_video(folder)]).provenance,
            window_length=m,
            teachers=tuple(f"t{i}" for i in range(k)),
        ),
        video_name=(block.video,) if m else (),
        video_length=np.full(1 if m else 0, m, np.int32),
        object_class=("",) if m else (),
        window_video=np.zeros(windows, np.int32),
        window_start=np.zeros(windows, np.int32),
        ground_truth=truth,
        absent=np.zeros((windows, m), bool),
        teacher=data.draw(boxes),
    )
    write_set(folder / "P.h5", made, folder / "frames.h5")
    with TransferReader(folder / "P.h5") as reader:
        np.testing.assert_array_equal(reader.content.teacher, made.teacher)
        np.testing.assert_array_equal(reader.content.ground_truth, truth)
        np.testing.assert_array_equal(reader.pixels.tables["frames/window"], block.window)
        assert [bytes(f) for f in reader.pixels.read(0, m)] == files if m else True
        for window in reader:
            assert [bytes(window.jpeg(t)) for t in range(m)] == files


def test_equal_content_is_equal_bytes(tmp_path, videos):
    digests = []
    for name in ("one", "two"):
        path, _ = write_sample(tmp_path / name, videos)
        digests.append(
            [hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, path.with_name("frames.h5"))]
        )
        time.sleep(1.1)  # HDF5 keeps times in seconds
    assert digests[0] == digests[1]
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["P-0.5.h5", "frames.h5"]


def test_blocks_do_not_depend_on_the_windows_that_ask(videos):
    whole = encode_video(videos[0], np.arange(9), Encoding())
    part = encode_video(videos[0], np.arange(3, 7), Encoding())
    assert part.data == whole.data[whole.offset[3] : whole.offset[7]]
    np.testing.assert_array_equal(part.window, whole.window[3:7])


def test_plain_h5py_reads_it(tmp_path, videos):
    path, made = write_sample(tmp_path, videos)
    with h5py.File(path) as file:
        rows = file["windows/frame"][1]
        offset = file["frames/offset"][:]
        jpeg = file["frames/data"][offset[rows[2]] : offset[rows[2] + 1]]
        assert decode_jpeg(jpeg.tobytes(), "RGB").ndim == 3
        assert file["videos/name"].asstr()[file["windows/video"][1]] == "alpha"
        np.testing.assert_array_equal(file["boxes/teacher"][:], made.teacher)
        assert file["frames/data"].id.get_offset() % 4096 == 0
        assert (file["videos/width"][:].tolist(), file["videos/height"][:].tolist()) == ([72, 40], [50, 64])
        for array in (*ARRAYS, *FRAMES_ARRAYS):
            assert file[array.name].chunks is None


def test_an_error_leaves_nothing(tmp_path, videos):
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), FramesWriter(folder / "frames.h5", Encoding()) as frames:
        frames.append(encode_video(videos[0], np.arange(3), Encoding()))
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path, videos):
    killed = get_context("fork").Process(target=int)
    killed.start()
    killed.join()
    left = tmp_path / f".frames.h5.{platform.node()}-{killed.pid}.tmp"
    left.write_bytes(b"half")
    write_sample(tmp_path, videos)
    assert not left.exists()


def test_writer_refusals(tmp_path, videos):
    block = encode_video(videos[0], np.array([0, 1, 2, 3, 5]), Encoding())
    with FramesWriter(tmp_path / "frames.h5", Encoding()) as frames:
        frames.append(block)
        with pytest.raises(ValueError, match="alpha was already written"):
            frames.append(block)
    with pytest.raises(DataError, match="lacks the pixels of video beta"):
        write_set(tmp_path / "P.h5", content(videos), tmp_path / "frames.h5")
    with pytest.raises(DataError, match="lacks the pixels of frame 4 of video alpha"):
        write_set(tmp_path / "P.h5", content(videos[:1]), tmp_path / "frames.h5")
    with pytest.raises(ValueError, match="one folder"):
        write_set(tmp_path / "deep" / "P.h5", content(videos), tmp_path / "frames.h5")


def test_missing_and_wrong_frames_say_what_to_do(tmp_path, videos):
    path, _ = write_sample(tmp_path / "set", videos)
    frames = path.with_name("frames.h5")
    kept = frames.rename(tmp_path / "elsewhere.h5")
    with pytest.raises(DataError, match=r"cannot find its pixels.*dvc checkout"):
        TransferReader(path)
    assert "cannot find its pixels" in str(validate(path)[0])
    write_sample(tmp_path / "other", videos, Encoding(quality=50))
    shutil.copy(tmp_path / "other" / "frames.h5", frames)
    with pytest.raises(DataError, match=r"another build.*build both again"):
        TransferReader(path)
    assert "another build" in str(validate(path)[0])
    kept.replace(frames)
    assert validate(path) == []


def test_symbolic_links_as_a_dvc_cache_makes_them(tmp_path, videos):
    path, made = write_sample(tmp_path / "set", videos)
    cache, work = tmp_path / "cache", tmp_path / "work"
    cache.mkdir()
    work.mkdir()
    for name, digest in ((path.name, "ab12"), ("frames.h5", "cd34")):
        shutil.move(path.with_name(name), cache / digest)
        (work / name).symlink_to(cache / digest)
    with TransferReader(work / path.name) as reader:
        assert len(reader[0].images()) == LENGTH
    assert validate(work / path.name) == []
    linked = tmp_path / "linked.h5"
    (cache / "frames.h5").symlink_to(cache / "cd34")
    linked.symlink_to(cache / "ab12")
    with TransferReader(linked) as reader:
        assert len(reader) == len(made)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_other_images_than_jpeg(tmp_path, suffix):
    video = make_video(tmp_path, suffix=suffix)
    with pytest.raises(DataError, match=r"not JPEG.*Use encoding `region`") as caught:
        encode_video(video, np.arange(2), Encoding(kind="source"))
    assert caught.value.path == video.frames[0]
    assert len(encode_video(video, np.arange(2), Encoding())) == 2


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_teachers_and_sets_see_the_same_pixels_whatever_exif_says(tmp_path, suffix):
    """A phone's image, stored lying on its side: annotations and crops are of what is stored."""
    path = tmp_path / f"1.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(textured(np.random.default_rng(0), 72, 50)).save(path, exif=exif)
    tracked, (_, packed) = read_image(path), read_with_content(path)
    assert tracked.shape == packed.shape == (50, 72, 3)
    assert np.abs(tracked[..., ::-1].astype(int) - packed).max() <= 4
    assert inspect_image(path).size == (72, 50)


@pytest.mark.parametrize("keep", [0, 2, 300, -40])
def test_truncated_images_are_named(tmp_path, keep):
    video = make_video(tmp_path)
    data = video.frames[3].read_bytes()
    video.frames[3].write_bytes(data[:keep])
    with pytest.raises(DataError) as caught:
        encode_video(video, np.arange(9), Encoding())
    assert caught.value.path == video.frames[3]


def test_absent_frames_take_the_last_valid_box(tmp_path):
    video = make_video(tmp_path)
    truth = video.ground_truth.copy()
    truth[4:6] = np.nan
    absent = np.zeros(9, bool)
    absent[4:6] = True
    block = encode_video(replace(video, ground_truth=truth, absent=absent), np.arange(9), Encoding())
    np.testing.assert_array_equal(block.window[5], block.window[4])
    assert np.isfinite(block.window).all()
    with pytest.raises(ValueError, match="no frame has a valid"):
        encode_video(
            replace(video, ground_truth=np.full((9, 4), np.nan, np.float32)), np.arange(2), Encoding()
        )


def test_a_window_holds_the_target_of_its_frame_and_of_the_one_before_at_the_smaller_ones_resolution():
    """Twice the boxes; a crop of 1.5 times a box keeps 144 pixels, so 96 of a box's own."""
    truth = np.float32([[np.nan] * 4, [100, 100, 200, 200], [400, 100, 100, 300], [400, 100, 50, 300]])
    windows, scales = target_windows(truth, Encoding(window_scale=2))
    first, both = [0, 0, 400, 400], [0, -50, 550, 600]
    np.testing.assert_array_equal(windows, [first, first, both, [350, -50, 200, 600]])
    np.testing.assert_allclose(scales, [[0.48, 0.48], [0.48, 0.48], [0.96, 0.48], [1, 0.32]])


@pytest.mark.parametrize("indices", [[2, 1], [1, 1], [-1, 0], [8, 9], [[1]]])
def test_frames_that_do_not_ascend_within_the_video_are_refused(videos, indices):
    with pytest.raises(ValueError, match=r"video alpha: frames must ascend within 0 \.\.\. 8"):
        encode_video(videos[0], np.array(indices), Encoding())


def test_images_are_encoded_as_told(videos):
    """A window no larger than the crop is allowed."""
    fine, coarse = Encoding(quality=95, subsampling="444"), Encoding(quality=30, window_scale=1.5)
    (good, bad) = (encode_video(videos[0], np.arange(1), encoding).data for encoding in (fine, coarse))
    assert simplejpeg.decode_jpeg_header(good)[3] == "444"
    assert simplejpeg.decode_jpeg_header(bad)[3] == "420"
    plain = encode_video(videos[0], np.arange(1), Encoding(subsampling="444")).data
    assert len(plain) < len(good)
    for wrong in ({"window_scale": 1.49}, {"quality": 0}, {"quality": 101}, {"oversampling": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Encoding(**wrong)


@settings(max_examples=60, deadline=None)
@given(
    box=hnp.arrays(np.float64, (6, 4), elements=st.floats(-300, 300)),
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    k=st.floats(1.5, 5),
)
def test_windows_lie_in_the_image_and_hold_what_they_promise(box, size, k):
    from datasets.boxes import is_valid, scaled
    from datasets.transfer.encoding import fit_window

    encoding = Encoding(window_scale=k)
    if not is_valid(box.astype(np.float32)).any():
        return
    windows, scales = target_windows(box.astype(np.float32), encoding)
    for t in range(6):
        (x, y, w, h), (stored_w, stored_h) = fit_window(windows, scales, t, size)
        assert x >= 0
        assert y >= 0
        assert w >= 1
        assert h >= 1
        assert x + w <= size[0]
        assert y + h <= size[1]
        assert 1 <= stored_w <= w
        assert 1 <= stored_h <= h
        if is_valid(box[t].astype(np.float32)):
            left, top, width, height = scaled(box[t].astype(np.float32), k)
            if left < size[0] and left + width > 0:
                assert x <= max(left, 0) + 1e-3
                assert x + w >= min(left + width, size[0]) - 1e-3
            if top < size[1] and top + height > 0:
                assert y <= max(top, 0) + 1e-3
                assert y + h >= min(top + height, size[1]) - 1e-3


def test_records_refuse_wrong_shapes(videos):
    made = content(videos)
    assert "teacher: float32[6, 4, 2, 4]" in repr(made)
    with pytest.raises(ValueError, match=r"teacher is float64\[6, 4, 2, 4\]"):
        replace(made, teacher=made.teacher.astype(float))
    with pytest.raises(ValueError, match=r"window_start is int32\[1\]"):
        replace(made, window_start=made.window_start[:1])
    assert isinstance(made, TransferSet)


def test_best_teacher_is_eq_4():
    iou = np.array([[np.nan, 0.5, 0.7], [0.6, 0.6, np.nan], [0.0, np.nan, np.nan]])
    assert best_teacher(iou).tolist() == [2, 0, 0]


def test_another_version_is_refused(tmp_path, videos):
    path, _ = write_sample(tmp_path, videos)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"transfer-set seal 1", b"transfer-set seal 2", 1))
    with pytest.raises(
        DataError, match=r"'seal 2', this program reads 'seal 1'.*program version that wrote it"
    ):
        TransferReader(path)


def test_the_documentation_holds_the_tables():
    text = DOCS.read_text()
    assert markdown(ARRAYS) in text
    assert markdown(FRAMES_ARRAYS) in text
