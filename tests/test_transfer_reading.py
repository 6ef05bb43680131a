"""Crops against PIL, and readers in threads, forked and spawned processes."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader
from transfer_samples import LENGTH, make_video, textured, write_sample

from datasets.boxes import scaled, to_corners
from datasets.errors import DataError
from datasets.transfer.crop import crop_region
from datasets.transfer.encoding import Encoding
from datasets.transfer.reader import TransferReader
from datasets.transfer.torch import WindowDataset, collate_windows


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reading")
    videos = [make_video(folder, "alpha"), make_video(folder, "beta", size=(40, 64), seed=1)]
    return write_sample(folder / "set", videos)[0]


@settings(max_examples=150, deadline=None)
@given(
    box=st.tuples(st.floats(-60, 160), st.floats(-60, 120), st.floats(0.7, 200), st.floats(0.7, 200)),
    size=st.sampled_from([1, 16, 128]),
    seed=st.integers(0, 3),
)
def test_crops_of_whole_images_are_those_of_pil(box, size, seed):
    image = textured(np.random.default_rng(seed), 120, 90)
    ours = crop_region(image, (0, 0, 120, 90), (120, 90), box, size)
    corners = np.rint(to_corners(scaled(box, 1.5))).astype(int)
    corners[2:] = np.maximum(corners[2:], corners[:2] + 1)
    theirs = (
        Image.fromarray(image).crop(tuple(corners.tolist())).resize((size, size), Image.Resampling.BILINEAR)
    )
    assert np.abs(np.asarray(theirs).astype(int) - ours.pixels).max() <= 1
    assert ours.inside


def test_crops_of_windows_are_those_of_the_image_where_stored():
    """A window cut out without reduction gives the same crop at any box inside it, and says when one leaves it."""
    image = textured(np.random.default_rng(1), 120, 90)
    window = image[20:70, 30:100]
    for box in ((50, 30, 20, 20), (45.3, 35.1, 30.2, 22.7)):
        whole = crop_region(image, (0, 0, 120, 90), (120, 90), box)
        part = crop_region(window, (30, 20, 70, 50), (120, 90), box)
        np.testing.assert_array_equal(whole.pixels, part.pixels)
        assert part.inside
    left = crop_region(window, (30, 20, 70, 50), (120, 90), (25, 30, 20, 20))
    assert not left.inside
    assert left.pixels.min() > 0 or image[:, :30].min() == 0


def test_outside_of_the_image_is_black_also_in_a_window():
    image = np.full((50, 50, 3), 200, np.uint8)
    crop = crop_region(image, (0, 0, 50, 50), (80, 50), (-20, 0, 20, 20))
    assert crop.inside
    assert (crop.pixels[64, :40] == 0).all()
    assert (crop.pixels[64, -5:] == 200).all()
    beyond = crop_region(image, (0, 0, 50, 50), (80, 50), (60, 10, 30, 20))
    assert not beyond.inside
    assert (beyond.pixels[64, 30:60] == 200).all()
    assert (beyond.pixels[64, -10:] == 0).all()


def test_regions_show_what_the_image_shows(tmp_path):
    """PSNR of the student's crop from a `region` set against the source image, near the ground truth."""
    video = make_video(tmp_path, size=(640, 480), frames=4, grain=24)
    regions, _ = write_sample(tmp_path / "region", [video])
    sources, _ = write_sample(tmp_path / "source", [video], Encoding(kind="source"))
    with TransferReader(regions) as region, TransferReader(sources) as source:
        for t in range(1, LENGTH):
            assert region[0].image(t).size < source[0].image(t).size / 4
            box = source[0].ground_truth[t - 1] + np.float32([5, -5, 8, -4])
            a, b = region[0].crop(t, box), source[0].crop(t, box)
            assert a.inside
            error = np.mean((a.pixels.astype(float) - b.pixels) ** 2)
            assert 10 * np.log10(255**2 / error) > 35


@pytest.mark.parametrize("box", [(np.nan, 0, 1, 1), (0, 0, 0, 5), (0, 0, 1e9, 5), (1, 2, 3)])
def test_impossible_boxes_are_refused(path, box):
    with TransferReader(path) as reader, pytest.raises(ValueError, match="box"):
        reader[0].crop(0, box)


def test_index_and_iteration(path):
    with TransferReader(path) as reader:
        assert reader[-1].index == len(reader) - 1
        assert [w.index for w in reader] == list(range(len(reader)))
        with pytest.raises(IndexError):
            reader[len(reader)]
        assert "6 windows" in repr(reader)


@pytest.mark.parametrize("locking", [True, False, None])
def test_a_set_that_this_process_has_open_already(path, locking):
    opened = (h5py.File(path.with_name(name), "r", locking=locking) for name in (path.name, "frames.h5"))
    with next(opened), next(opened), TransferReader(path) as reader:
        assert reader[0].crop(1, reader[0].ground_truth[0]).pixels.shape == (128, 128, 3)


def test_threads_and_pickles(path):
    with TransferReader(path) as reader:
        expected = [[image.tobytes() for image in window.images()] for window in reader]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n: [i.tobytes() for i in reader[n % 6].images()], range(60)))
        assert all(found[n] == expected[n % 6] for n in range(60))
        again = pickle.loads(pickle.dumps(reader))
        assert [i.tobytes() for i in again[3].images()] == expected[3]
        window = pickle.loads(pickle.dumps(reader[2]))
        assert [i.tobytes() for i in window.images()] == expected[2]


def test_a_reader_is_the_same_file_in_a_process_that_works_elsewhere(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with TransferReader(path.name) as reader:
        sent = pickle.dumps(reader)
    monkeypatch.chdir(tmp_path)
    with pickle.loads(sent) as again:
        assert len(again) == 6


def test_a_file_that_shrinks_while_open_is_an_error(path, tmp_path):
    import shutil

    shutil.copytree(path.parent, tmp_path / "set")
    with TransferReader(tmp_path / "set" / path.name) as reader:
        with (tmp_path / "set" / "frames.h5").open("r+b") as file:
            file.truncate(50_000)
        with pytest.raises(DataError, match="ends within rows"):
            reader[5].images()


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers(path, context):
    dataset = WindowDataset(path, crops=True)
    expected = collate_windows([dataset[n] for n in range(6)])
    loader = DataLoader(
        dataset, batch_size=3, num_workers=2, collate_fn=collate_windows, multiprocessing_context=context
    )
    batches = list(loader)
    assert batches[0]["crops"].shape == (3, LENGTH, 2, 3, 128, 128)
    for k, batch in enumerate(batches):
        assert (batch["crops"] == expected["crops"][3 * k : 3 * k + 3]).all()
        assert batch["video"] == expected["video"][3 * k : 3 * k + 3]


def test_stored_images_as_tensors(path):
    dataset = WindowDataset(path)
    sample = dataset[4]
    assert len(sample["images"]) == LENGTH
    assert tuple(sample["images"][1].shape[1:]) == dataset.reader[4].image(1).shape[:2]
    batch = collate_windows([dataset[0], dataset[4]])
    assert batch["ground_truth"].shape == (2, LENGTH, 4)
    assert len(batch["images"]) == 2


def test_memory_is_never_taken_from_images_in_use(path):
    """Images stay what they are while other windows are read into recycled memory, whatever part of them is kept."""
    with TransferReader(path) as reader:
        expected = [[image.copy() for image in window.images()] for window in reader]
        whole, row, view = reader[0].images(), reader[1].images()[2][5], reader[2].image(1)[::2, 1:]
        for n in (3, 4, 5, 3, 4, 5):
            images = reader[n].images()
            assert all((a == b).all() for a, b in zip(images, expected[n], strict=True))
        assert all((a == b).all() for a, b in zip(whole, expected[0], strict=True))
        assert (row == expected[1][2][5]).all()
        assert (view == expected[2][1][::2, 1:]).all()
