"""ECO's windows and features equal their definitions: geometry, search and scale windows, HOG, colours."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from eco_samples import FEW, Floats, Image, texture
from hypothesis import given
from hypothesis import strategies as st

from teachers.eco.geometry import geometry, rounded
from teachers.eco.window import scale_windows, search_window
from teachers.features.colour_fhog import ColourFHOG
from teachers.features.colours import ENTRIES, basic_colours, colour_cells, grey_cells, intensities, lab
from teachers.features.fhog import FHOG

# Geometry and windows


@given(st.floats(1, 900), st.floats(1, 900))
def test_only_five_sides_and_odd_grids(height: float, width: float):
    shape = geometry((height, width), (720, 1280))
    assert shape.side in (164, 174, 188, 198, 212)
    assert shape.colour_grid % 2 == shape.hog_grid % 2 == 1
    assert shape.base[0] * shape.scale == pytest.approx(height)


def test_the_side_of_small_targets_is_no_matter_of_rounding():
    assert {geometry((h, w), (480, 640)).side for h in range(3, 38) for w in range(3, 38)} == {164}


@given(st.floats(1, 900), st.floats(1, 900))
def test_scale_limits_are_the_last_steps_to_five_pixels_and_to_the_image(height: float, width: float):
    shape = geometry((height, width), (720, 1280))
    assert 5 <= shape.side * shape.smallest * (1 + 1e-9) < 5 * 1.02 * (1 + 2e-9)
    filled = shape.largest * max(shape.base[0] / 720, shape.base[1] / 1280)
    assert 1 / 1.02 < filled * (1 + 1e-9) < 1 + 2e-9
    for limit in (shape.smallest, shape.largest):
        steps = math.log(limit, 1.02)
        assert steps == pytest.approx(round(steps), abs=1e-6)


def test_rounding_is_that_of_one_based_coordinates():
    assert [rounded(v) for v in (2.5, 2.49, -0.5, -1.5, -1.6)] == [3, 2, 0, -2, -2]


@FEW
@given(
    st.tuples(st.floats(-90, 200), st.floats(-90, 200)), st.sampled_from((0.3, 1.0, 1.7, 2.3)), st.booleans()
)
def test_search_windows_equal_those_of_a_padded_frame(
    position: tuple[float, float], scale: float, grey: bool
):
    frame = texture(1, 110, 130, 1)
    own = search_window(frame, position, scale, 40, grey)
    row, column = rounded(position[0]), rounded(position[1])
    step = max(math.floor(scale - 0.1), 1)
    rows, columns = np.arange(row % step, 110, step), np.arange(column % step, 130, step)
    thinned = frame[np.ix_(rows, columns)]
    count = max(math.floor(40 * scale / step + 0.5), 2)
    begin = [(c - c % step) // step + 1 - (count + 1) // 2 for c in (row, column)]
    taken = [np.clip(b + np.arange(count), 0, n - 1) for b, n in zip(begin, thinned.shape[:2], strict=True)]
    patch = cv2.resize(thinned[np.ix_(*taken)], (40, 40)) if count != 40 else thinned[np.ix_(*taken)]
    np.testing.assert_array_equal(own, patch[..., 2] if grey else patch)


@FEW
@given(st.tuples(st.floats(-40, 150), st.floats(-40, 150)), st.sampled_from((0.4, 1.1, 2.6)))
def test_scale_windows_equal_those_cut_one_by_one(position: tuple[float, float], scale: float):
    frame, base, model = texture(1, 110, 130, 1), (30.3, 19.8), (27, 18)
    factors = scale * 1.02 ** np.arange(-16.0, 17.0, 4.0)
    step = max(math.floor(factors.min()), 1)
    thinned = frame[::step, ::step]
    for factor, own in zip(
        factors / step, scale_windows(frame, position, base, factors, model, False), strict=True
    ):
        size = [math.floor(b * factor) for b in base]
        taken = [
            np.clip(math.floor(p / step) + 1 - s // 2 + np.arange(s), 0, n - 1)
            for p, s, n in zip(position, size, thinned.shape[:2], strict=True)
        ]
        how = cv2.INTER_LINEAR if model[1] > size[0] else cv2.INTER_AREA
        expected = cv2.resize(thinned[np.ix_(*taken)], (18, 27), interpolation=how)
        np.testing.assert_array_equal(own, expected)


# Features


@pytest.mark.parametrize("cell", [4, 6])
def test_colour_fhog_follows_the_strongest_channel(cell: int):
    red = texture(2, 45, 38, 1)[..., 0]
    weaker = red // 4
    ones = np.ones((45 // cell, 38 // cell), np.float32)
    out = [np.empty((*ones.shape, 32), np.float32) for _ in range(4)]
    grey = FHOG(45, 38, cell)(np.ascontiguousarray(red), ones, out[0])
    own = ColourFHOG(45, 38, cell)
    for order, target in (((weaker, weaker, red), 1), ((red, weaker, weaker), 2), ((red, red, red), 3)):
        np.testing.assert_array_equal(own(np.ascontiguousarray(np.dstack(order)), ones, out[target]), grey)
    with pytest.raises(ValueError, match="colour patches"):
        own(np.dstack([red] * 3)[:20], ones, out[1])


def test_lab_of_known_colours():
    # Values that colour science texts print for sRGB under D65.
    colours = lab(np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]], dtype=float))
    expected = [[100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [0, 0, 0]]
    np.testing.assert_allclose(colours, expected, atol=0.02)


def test_tables_are_centred_probabilities():
    for table, rows, channels in ((basic_colours(), ENTRIES, 11), (intensities(), 256, 6)):
        assert table.values.shape == (rows, channels)
        assert table.rank == channels - 1 == np.linalg.matrix_rank(table.values[::37].astype(float), tol=1e-3)
        np.testing.assert_allclose(table.values.sum(axis=1), 0, atol=1e-6)
        assert table.values.min() >= -1 / channels - 1e-6
    names = ["black", "blue", "brown", "grey", "green", "orange", "pink", "purple", "red", "white", "yellow"]
    values = basic_colours().values
    for name, rgb in (("red", (31, 0, 0)), ("white", (31, 31, 31)), ("blue", (0, 0, 31))):
        assert names[int(values[rgb[0] + 32 * rgb[1] + 1024 * rgb[2]].argmax())] == name


def test_cells_are_means_of_table_rows():
    patch, table = texture(4, 23, 30, 1), basic_colours().values
    own = colour_cells_of(patch, table)
    levels = patch.astype(int) >> 3
    rows = table[levels[..., 2] + 32 * levels[..., 1] + 1024 * levels[..., 0]]
    np.testing.assert_allclose(own, rows[:20, :28].reshape(5, 4, 7, 4, 11).mean(axis=(1, 3)), atol=1e-6)
    out = np.empty((5, 7, 6), np.float32)
    grey_cells(np.ascontiguousarray(patch[..., 0]), intensities().values, 4, out)
    rows = intensities().values[patch[..., 0]]
    np.testing.assert_allclose(out, rows[:20, :28].reshape(5, 4, 7, 4, 6).mean(axis=(1, 3)), atol=1e-6)


def colour_cells_of(patch: Image, table: Floats) -> Floats:
    out = np.empty((patch.shape[0] // 4, patch.shape[1] // 4, table.shape[1]), np.float32)
    colour_cells(patch, table, 4, out)
    return out
