"""VOT's regions: overlaps by hand, against boxes and counted points; ground truth that is read or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vot_samples import IMAGE, rotated

from datasets.boxes import overlap
from datasets.errors import DataError
from trainer.evaluate.regions import area, clipped, polygon, read_polygons, region_overlap


def test_overlaps_worked_out_by_hand():
    square = polygon([10, 10, 20, 20])
    diamond = [(20.0, 10.0), (30.0, 20.0), (20.0, 30.0), (10.0, 20.0)]
    assert area(square) == 400
    assert area(diamond) == 200
    assert region_overlap(square, square, IMAGE) == 1
    assert region_overlap(square, diamond, IMAGE) == pytest.approx(0.5)
    assert region_overlap(diamond, square, IMAGE) == pytest.approx(0.5)
    assert region_overlap(square, polygon([20, 10, 20, 20]), IMAGE) == pytest.approx(1 / 3)
    assert region_overlap(square, [*reversed(polygon([20, 10, 20, 20]))], IMAGE) == pytest.approx(1 / 3)
    assert region_overlap(square, polygon([30, 10, 20, 20]), IMAGE) == 0
    # Half of both lies beyond the border, where nobody can see it: what is left is the same.
    assert region_overlap(polygon([-10, 0, 20, 20]), polygon([-20, 0, 30, 20]), IMAGE) == pytest.approx(1)
    assert region_overlap(polygon([90, 0, 20, 20]), polygon([90, 0, 10, 20]), IMAGE) == pytest.approx(1)
    assert region_overlap(polygon([200, 0, 5, 5]), polygon([200, 0, 5, 5]), IMAGE) == 0
    arrow = [(0.0, 0.0), (40.0, 20.0), (0.0, 40.0), (20.0, 20.0)]  # not convex, area 400
    assert region_overlap(arrow, polygon([0, 0, 40, 40]), IMAGE) == pytest.approx(400 / 1600)
    assert region_overlap(polygon([0, 0, 10, 40]), arrow, IMAGE) == pytest.approx(50 / (400 + 400 - 50))
    with pytest.raises(ValueError, match="convex"):
        region_overlap(arrow, arrow, IMAGE)


sides = st.tuples(st.floats(5, 60), st.floats(5, 60), st.floats(1, 35), st.floats(1, 35))


@given(sides, sides)
def test_upright_rectangles_overlap_as_boxes_do(a, b):
    assert region_overlap(polygon(a), polygon(b), IMAGE) == pytest.approx(float(overlap(a, b)), abs=1e-9)


@given(sides, sides, st.floats(-180, 180), st.floats(-180, 180))
def test_overlap_is_symmetric_and_never_more_than_the_smaller_over_the_larger(a, b, u, v):
    one, other = rotated(*a, u), rotated(*b, v)
    found = region_overlap(one, other, (1e4, 1e4)) if min(min(p) for p in one + other) >= 0 else None
    if found is not None:
        assert found == pytest.approx(region_overlap(other, one, (1e4, 1e4)), abs=1e-9)
        areas = sorted([a[2] * a[3], b[2] * b[3]])
        assert -1e-12 <= found <= areas[0] / areas[1] + 1e-9
    assert area(clipped(one, one)) == pytest.approx(a[2] * a[3])


def test_overlap_against_counting_points():
    one, other = rotated(20, 20, 40, 25, 30), polygon([30, 15, 35, 30])
    grid = np.stack(np.meshgrid(np.arange(0, 100, 0.1), np.arange(0, 100, 0.1)), -1).reshape(-1, 2) + 0.05

    def inside(region):
        edges = zip(region, [*region[1:], region[0]], strict=True)
        return np.all(
            [
                (x2 - x1) * (grid[:, 1] - y1) - (y2 - y1) * (grid[:, 0] - x1) >= 0
                for (x1, y1), (x2, y2) in edges
            ],
            axis=0,
        )

    a, b = inside(one), inside(other)
    assert region_overlap(one, other, IMAGE) == pytest.approx((a & b).sum() / (a | b).sum(), abs=2e-3)


def test_no_overlap_is_more_than_one():
    every = [rotated(20, 20, 30, 20, degrees) for degrees in range(180)]
    assert max(region_overlap(one, [*one[1:], one[0]], IMAGE) for one in every) == 1


def test_ground_truth_is_read_or_refused(tmp_path):
    path = tmp_path / "groundtruth.txt"
    path.write_text("1,2,3,4\n5,6,7,8\n")
    assert read_polygons(path, 2)[0] == [(1, 2), (4, 2), (4, 6), (1, 6)]
    path.write_text("0,0,4,0,4,4\n")
    assert read_polygons(path, 1) == [[(0, 0), (4, 0), (4, 4)]]
    path.write_text("1,2,3,4\nNaN,NaN,NaN,NaN\n")
    with pytest.raises(DataError, match="line 2: the target has no region"):
        read_polygons(path, 2)
    for count in (5, 7):
        path.write_text(",".join("1234567"[:count]) + "\n")
        with pytest.raises(DataError, match=f"{count} values"):
            read_polygons(path, 2)
