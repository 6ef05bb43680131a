"""The student's crops: on the CPU those of the datasets to the bit, elsewhere the same filter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.transfer.crop import crop_region
from trainer import dense
from trainer.crops import DEVIATION, MEAN, crop_batch, incomplete
from trainer.cutouts import crop_uploaded
from trainer.dense import crop_packed, pack

torch.set_num_threads(1)


def crop_dense(images, windows, sizes, boxes, size, context, device):
    """What `crop_batch` does on a device that is not the CPU, as grey levels (B, size, size, 3)."""
    packed = pack([image.to(device) for image in images], device)
    return crop_packed(packed, windows.to(device), sizes.to(device), boxes.to(device), size, context)


def noise(rng, h, w):
    return torch.from_numpy(rng.integers(0, 256, (h, w, 3), dtype=np.uint8))


def grey_levels(crops):
    """Undo the normalisation: (B, 3, S, S) to (B, S, S, 3)."""
    return crops.permute(0, 2, 3, 1) * torch.tensor(DEVIATION) * 255 + torch.tensor(MEAN) * 255


@pytest.fixture
def batch():
    """Images, windows, sizes of the source images, and boxes: inside, across borders, outside, tiny, huge."""
    rng = np.random.default_rng(3)
    images = [noise(rng, h, w) for h, w in [(90, 120), (61, 47), (200, 30), (90, 120), (33, 35), (120, 160)]]
    windows = torch.tensor(
        [
            [0, 0, 120, 90],
            [10, 20, 94, 122],
            [5, 0, 60, 400],
            [0, 0, 120, 90],
            [3, 3, 35, 33],
            [0, 0, 160, 120],
        ]
    ).float()
    sizes = torch.tensor([[120, 90], [640, 360], [640, 400], [120, 90], [64, 64], [160, 120]])
    boxes = torch.tensor(
        [
            [30.3, 20.7, 40, 31],
            [20, 30, 60, 80],
            [-20, -30, 100, 500],
            [118, 88, 30, 30],
            [10, 11, 3, 2],
            [0, 0, 160, 120],
        ]
    )
    return images, windows, sizes, boxes


def test_what_was_not_stored_is_told_as_the_crop_tells_it():
    rng = np.random.default_rng(5)
    size = torch.tensor([[110.0, 100.0]]).expand(400, 2)
    corner = rng.integers(0, 60, (400, 2))
    extent = np.minimum(
        rng.integers(30, 60, (400, 2)), size.numpy() - corner
    )  # many end where the image does
    places = torch.from_numpy(np.concatenate([corner, extent], axis=1)).float()
    boxes = places + torch.from_numpy(rng.normal(0, 8, (400, 4))).float()
    boxes[:, :2] += boxes[:, 2:] / 4
    boxes[:, 2:] = boxes[:, 2:].clamp_min(4) / 2
    image = np.zeros((8, 8, 3), np.uint8)
    found = incomplete(boxes, places, size, 1.5)
    expected = [
        not crop_region(image, p, s, b, 32).inside for p, s, b in zip(places, size, boxes, strict=True)
    ]
    assert found.tolist() == expected
    assert 50 < sum(expected) < 350


def test_on_the_cpu_they_are_those_of_the_datasets(batch):
    images, windows, sizes, boxes = batch
    crops = crop_batch(*batch, size=64)
    assert crops.shape == (6, 3, 64, 64) and crops.dtype == torch.float32
    levels = grey_levels(crops).numpy()
    for i, image in enumerate(images):
        expected = crop_region(image.numpy(), windows[i], sizes[i], boxes[i], 64).pixels
        np.testing.assert_allclose(levels[i], expected, atol=1e-3)


def test_the_batched_products_differ_by_less_than_a_grey_level(batch):
    images, windows, sizes, boxes = batch
    found = crop_dense(*batch, 64, 1.5, torch.device("cpu")).numpy()
    for i, image in enumerate(images):
        expected = crop_region(image.numpy(), windows[i], sizes[i], boxes[i], 64).pixels
        assert np.abs(found[i] - expected).max() <= 1.01, i


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**31),
    st.tuples(st.floats(-60, 150), st.floats(-60, 120), st.floats(1, 200), st.floats(1, 200)),
    st.sampled_from([16, 32, 128]),
)
def test_any_box_of_any_window(seed, box, size):
    rng = np.random.default_rng(seed)
    h, w = rng.integers(4, 90, 2).tolist()
    image = noise(rng, h, w)
    window = torch.tensor([[*rng.integers(0, 30, 2), w * rng.integers(1, 3), h * rng.integers(1, 3)]]).float()
    limit = window[:, :2] + window[:, 2:] + torch.from_numpy(rng.integers(0, 2, (1, 2)) * 20)
    boxes = torch.tensor([box], dtype=torch.float32)
    expected = crop_region(image.numpy(), window[0], limit[0], boxes[0], size).pixels
    found = crop_dense([image], window, limit, boxes, size, 1.5, torch.device("cpu"))[0].numpy()
    assert np.abs(found - expected).max() <= 1.01


def test_what_travels_to_a_gpu_is_enough_for_the_crops(batch):
    images, windows, sizes, boxes = (part[:] for part in batch)
    boxes = torch.cat([boxes, torch.tensor([[500.0, 300, 20, 20]])])  # nothing of it is stored
    images, windows, sizes = [*images, images[1]], windows[[*range(6), 1]], sizes[[*range(6), 1]]
    whole = grey_levels(crop_batch(images, windows, sizes, boxes, 64))
    arrays = [image.numpy() for image in images], windows.numpy(), sizes.numpy(), boxes.numpy()
    found = crop_uploaded(*arrays, 64, 1.5, torch.device("cpu"))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (grey_levels(found) - whole).abs().max() <= 1.02
    turned = [np.ascontiguousarray(image[..., ::-1]) for image in arrays[0]]
    assert torch.equal(crop_uploaded(turned, *arrays[1:], 64, 1.5, torch.device("cpu"), bgr=True), found)


def test_more_than_one_pass_gives_the_same(batch, monkeypatch):
    whole = crop_dense(*batch, 64, 1.5, torch.device("cpu"))
    passes, products = [], dense._products
    monkeypatch.setattr(dense, "_products", lambda *given: passes.append(given[1]) or products(*given))
    monkeypatch.setattr(dense, "_PIXELS", 2 * 160 * 200)
    assert torch.equal(crop_dense(*batch, 64, 1.5, torch.device("cpu")), whole)
    assert len(passes) == 3  # two images each, for the memory that all of them would take


def test_whole_images_give_what_pil_gives(batch):
    image = batch[0][0]
    left, top, right, bottom = 20, 11, 66, 57
    box = torch.tensor([[left + 46 / 6, top + 46 / 6, 46 / 1.5, 46 / 1.5]])
    whole = Image.fromarray(image.numpy()).crop((left, top, right, bottom))
    expected = np.asarray(whole.resize((128, 128), Image.Resampling.BILINEAR), dtype=np.float32)
    window = torch.tensor([[0.0, 0.0, 120.0, 90.0]])
    for found in (
        grey_levels(crop_batch([image], window, window[:, 2:], box)),
        crop_dense([image], window, window[:, 2:], box, 128, 1.5, torch.device("cpu")),
    ):
        assert np.abs(found[0].numpy() - expected).max() <= 1.01


def test_normalised_by_imagenet():
    white = torch.full((8, 8, 3), 255, dtype=torch.uint8)
    window = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    crops = crop_batch([white], window, window[:, 2:], torch.tensor([[3.0, 3.0, 2.0, 2.0]]), size=32)
    expected = (1 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    torch.testing.assert_close(crops[0, :, 16, 16], expected)
    assert crops.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("bad", [[0, 0, 0, 5], [0, 0, 5, -1], [float("nan"), 0, 5, 5]])
def test_a_box_without_area_is_refused(batch, bad):
    boxes = batch[3]
    boxes[2] = torch.tensor(bad)
    with pytest.raises(ValueError, match=r"cannot crop around"):
        crop_batch(*batch)
    with pytest.raises(ValueError, match=r"cannot crop around"):
        crop_dense(*batch, 32, 1.5, torch.device("cpu"))


def test_unequal_counts_are_refused(batch):
    with pytest.raises(ValueError, match="5 images, 6 windows"):
        crop_batch(batch[0][:5], *batch[1:])
    images, windows, sizes, boxes = batch
    with pytest.raises(ValueError, match="6 windows, 5 image sizes and 6 boxes"):
        crop_batch(images, windows, sizes[:5], boxes)
