"""ECO's filter equals its definition: Fourier series, regulariser, data term, conjugate gradients, samples, scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eco_samples import FEW, ODD, SEEDS, Floats, as_complex, moving, texture
from hypothesis import given
from hypothesis import strategies as st

from teachers.eco.conjugate_gradient import ConjugateGradient, diagonal, energy_of
from teachers.eco.data_term import DataTerm
from teachers.eco.descent import Descent
from teachers.eco.detection import peak
from teachers.eco.features import Features
from teachers.eco.first_frame import FirstFrame
from teachers.eco.fourier import Fourier, label, spline
from teachers.eco.geometry import geometry
from teachers.eco.layout import Layout, layout
from teachers.eco.projection import Sampler, principal_axes
from teachers.eco.regularisation import Regulariser, kernel
from teachers.eco.sample_space import RATE, SampleSpace
from teachers.eco.scale_filter import ScaleFilter
from teachers.eco.vectors import inner
from teachers.eco.window import search_window
from teachers.features.colours import basic_colours

# Fourier series


@FEW
@given(ODD, SEEDS)
def test_series_equal_numpys_there_and_back(n: int, seed: int):
    fourier = Fourier(n)
    maps = np.random.default_rng(seed).standard_normal((2, n, n), dtype=np.float32)
    own = as_complex(fourier.forward(maps, np.empty((2, 2, fourier.coefficients), np.float32)))
    spectrum = np.fft.fftshift(np.fft.fft2(maps.astype(np.float64)), axes=2)[:, : n // 2 + 1].reshape(2, -1)
    axis = spline(n)
    expected = spectrum * np.outer(axis[n // 2 :], axis).ravel()
    np.testing.assert_allclose(own, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    plain = (spectrum[0] / n**2).reshape(1, -1)
    back = fourier.backward(np.concatenate([plain.real, plain.imag]).astype(np.float32))
    np.testing.assert_allclose(back, maps[0], atol=2e-5)


@FEW
@given(ODD, SEEDS)
def test_weights_make_inner_products_those_of_functions(n: int, seed: int):
    fourier = Fourier(n)
    maps = np.random.default_rng(seed).standard_normal((2, n, n), dtype=np.float32)
    a, b = fourier.forward(maps, np.empty((2, 2, fourier.coefficients), np.float32))
    product = inner(a.ravel(), b.ravel(), fourier.weights.ravel())
    functions = [fourier.backward(s).astype(np.float64) for s in (a, b)]
    assert product == pytest.approx((functions[0] * functions[1]).mean(), abs=1e-5)


def test_the_interpolation_keeps_a_constant_and_centres_cells():
    fourier = Fourier(9)
    flat = fourier.forward(np.ones((1, 9, 9), np.float32), np.empty((1, 2, fourier.coefficients), np.float32))
    np.testing.assert_allclose(fourier.backward(flat[0]), 1, atol=1e-5)
    spot = np.zeros((1, 9, 9), np.float32)
    spot[0, 6, 2] = 1
    lit = fourier.forward(spot, np.empty((1, 2, fourier.coefficients), np.float32))[0]
    # A cell's value stands half a cell behind its corner.
    half = as_complex(lit) * as_complex(fourier.shift(math.pi / 9, math.pi / 9))
    found = peak(np.stack([half.real, half.imag]).astype(np.float32), fourier)
    np.testing.assert_allclose(found, (2 * math.pi / 9 * 2, 2 * math.pi / 9 * (6 - 9)), atol=1e-4)


@FEW
@given(ODD.filter(lambda n: n > 20), st.floats(-2.5, 2.5), st.floats(-2.5, 2.5))
def test_a_shift_moves_the_peak_and_newton_finds_it(n: int, rows: float, columns: float):
    fourier = Fourier(n)
    wanted = label(n, n, 1.5)
    moved = as_complex(wanted) * as_complex(fourier.shift(-rows, -columns))
    found = peak(np.stack([moved.real, moved.imag]).astype(np.float32), fourier)
    np.testing.assert_allclose(found, (rows, columns), atol=1e-3)


@FEW
@given(ODD, SEEDS)
def test_a_peak_is_as_high_as_the_grid_is_where_newton_leads_astray(n: int, seed: int):
    fourier = Fourier(n)
    response = np.random.default_rng(seed).standard_normal((2, fourier.coefficients), dtype=np.float32)
    there = as_complex(response) * as_complex(fourier.shift(*peak(response, fourier)))
    value = (fourier.weights[0] * there.real).sum()
    assert value >= fourier.backward(response).max() * (1 - 1e-5)


def test_even_grids_are_refused():
    with pytest.raises(ValueError, match="odd number"):
        Fourier(8)


# Learning


def small_layout() -> tuple[Layout, DataTerm, Regulariser]:
    shape = geometry((20, 30), (240, 320))
    parts = layout(shape, (3, 10))
    return parts, DataTerm(parts), Regulariser(kernel(shape), parts)


def series(parts: Layout, seed: int, count: int = 1) -> Floats:
    """Vectors that are series of real functions."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, parts.size), dtype=np.float32)
    for vector in out:
        for block in parts.blocks:
            maps = rng.standard_normal((block.channels, block.n, block.n), dtype=np.float32)
            block.fourier.forward(maps, block.of(vector))
    return out


@FEW
@given(st.sampled_from(((20, 30), (90, 12), (40, 41))), SEEDS)
def test_the_regulariser_is_the_window_squared(target: tuple[int, int], seed: int):
    shape = geometry(target, (240, 320))
    parts, window = layout(shape, (1, 1)), kernel(shape)
    assert (window >= 0).all() and window.shape[0] % 2 == window.shape[1] % 2 == 1
    vector = series(parts, seed)[0]
    out = np.zeros_like(vector)
    Regulariser(window, parts).add(vector, out)
    a, b = window.shape[0] // 2, window.shape[1] // 2
    for block in parts.blocks:
        n, m = block.n, block.n // 2
        half = as_complex(block.of(vector))[0].reshape(m + 1, n)
        full = np.concatenate([half[:0:-1, ::-1].conj(), half])  # (kx, ky), both -m .. m
        wide = np.pad(full, ((2 * b, 2 * b), (2 * a, 2 * a)))
        # Coefficients far beyond the series' own make the products those of functions.
        size = wide.shape
        spatial = np.zeros(size, dtype=complex)
        spatial[size[0] // 2 - b : size[0] // 2 + b + 1, size[1] // 2 - a : size[1] // 2 + a + 1] = window.T
        functions = [np.fft.ifft2(np.fft.ifftshift(s)) * s.size for s in (wide, spatial)]
        expected = np.fft.fftshift(np.fft.fft2(functions[0] * functions[1] ** 2)) / wide.size
        expected = expected[2 * b + m : 2 * b + n, 2 * a : 2 * a + n].reshape(-1)
        own = as_complex(block.of(out))[0]
        np.testing.assert_allclose(own, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@FEW
@given(SEEDS)
def test_the_data_term_is_symmetric_positive_and_equals_its_definition(seed: int):
    parts, data, _ = small_layout()
    samples, (f, g) = series(parts, seed, 3), series(parts, seed + 1, 2)
    weights = np.array([0.5, 0.3, 0.2], dtype=np.float32)
    af, ag = np.empty_like(f), np.empty_like(g)
    data.curvature(samples, weights, f, af)
    data.curvature(samples, weights, g, ag)
    scale = math.sqrt(inner(af, af, parts.weights) * inner(g, g, parts.weights))
    assert inner(af, g, parts.weights) == pytest.approx(inner(ag, f, parts.weights), abs=1e-5 * scale)
    assert inner(af, f, parts.weights) > 0
    colour, hog = parts.blocks
    total = np.zeros(colour.fourier.coefficients, dtype=complex)
    large = total.reshape(-1, colour.n)
    total += (as_complex(colour.of(samples[0])) * as_complex(colour.of(f))).sum(axis=0)
    offset = (colour.n - hog.n) // 2
    large[: hog.n // 2 + 1, offset : offset + hog.n] += (
        (as_complex(hog.of(samples[0])) * as_complex(hog.of(f))).sum(axis=0).reshape(-1, hog.n)
    )
    own = as_complex(data.response(samples[0], f)[None])[0]
    np.testing.assert_allclose(own, total, rtol=0, atol=1e-5 * np.abs(total).max())


def test_conjugate_gradients_solve_the_normal_equations():
    parts, data, regulariser = small_layout()
    samples, weights = series(parts, 3, 2), np.array([0.7, 0.3], dtype=np.float32)
    energy = sum(w * energy_of(s, parts) for w, s in zip(weights, samples, strict=True))
    inverse = diagonal(np.asarray(energy, dtype=np.float32), parts, regulariser)
    gradient, filters = ConjugateGradient(parts, data, regulariser), np.zeros(parts.size, np.float32)

    def residual() -> float:
        r, cost = np.empty_like(filters), np.zeros_like(filters)
        data.descent(samples, weights, filters, r)
        regulariser.add(filters, cost)
        return math.sqrt(inner(r - cost, r - cost, parts.weights))

    sizes = [residual()]
    for _ in range(40):
        gradient.improve(filters, samples, weights, inverse)
        sizes.append(residual())
    assert sizes[1] < sizes[0]
    assert sizes[-1] < 1e-2 * sizes[0]


@pytest.mark.parametrize(
    ("residual", "beta"),
    [((-1, 1), 0.6), ((0, 2), 0.6), ((0.5, 0.4), 0)],  # across the first one, askew to it, along it
)
def test_an_update_continues_in_the_last_ones_direction_as_far_as_that_is_new(
    residual: tuple[float, float], beta: float
):
    ones, matrix = np.ones(2, np.float32), np.diag(np.float32([1, 4]))
    descent = Descent(ones, 1, 0.6)

    def steps(r: tuple[float, float]) -> Floats:
        x = np.zeros(2, np.float32)
        descent.take(x, np.array(r, np.float32), lambda p, out: np.matmul(matrix, p, out=out), ones)
        return x

    first, r = np.ones(2), np.array(residual)
    np.testing.assert_allclose(steps((1, 1)), first * 2 / 5)
    p = r + beta * first
    np.testing.assert_allclose(steps(residual), p * (r @ r) / (p @ matrix @ p), rtol=1e-6)


def test_a_descent_ends_where_the_equations_say_nothing():
    x, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    Descent(ones, 5).take(x, ones.copy(), lambda p, out: out.fill(0), ones)
    np.testing.assert_array_equal(x, 0)


def test_the_first_frame_improves_both_filter_and_projection():
    images, _ = moving(1)
    shape = geometry((40, 40), (240, 320))
    parts = layout(shape, (3, 10))
    data = DataTerm(parts)
    regulariser, sampler = Regulariser(kernel(shape), parts), Sampler(parts)
    features = Features(shape, basic_colours(), False, None)
    maps = features(search_window(images[0], (110, 80), shape.scale, shape.side, False))
    axes = (principal_axes(maps[0], 11, 3), principal_axes(maps[1], 31, 10))
    for one in axes:
        np.testing.assert_allclose(one.T @ one, np.eye(one.shape[1]), atol=1e-5)
    whole = sampler.whole(maps, features.channels)
    sample = sampler.project(maps, axes, np.empty(parts.size, np.float32))
    inverse = diagonal(energy_of(sample, parts), parts, regulariser)
    first = FirstFrame(parts, data, regulariser, whole, axes, sum(features.ranks), inverse)
    # Projecting the series is projecting the maps.
    projected = first.project(first.projection, np.empty(parts.size, np.float32))
    np.testing.assert_allclose(projected, sample, atol=1e-5 * np.abs(sample).max())
    first.learn()
    learned = first.project(first.projection, np.empty(parts.size, np.float32))

    def miss(response: Floats) -> float:
        return float(np.sum((response - data.label) ** 2))

    assert miss(data.response(learned, first.filters)) < 0.05 * miss(np.zeros_like(data.label))
    for block in parts.blocks:
        column = as_complex(block.of(first.filters))[:, : block.n]
        np.testing.assert_array_equal(
            column[:, block.n // 2 + 1 :], column[:, : block.n // 2][:, ::-1].conj()
        )


@FEW
@given(st.integers(1, 6), st.integers(1, 60), SEEDS)
def test_the_sample_space_keeps_its_invariants(capacity: int, count: int, seed: int):
    rng = np.random.default_rng(seed)
    space = SampleSpace(capacity, 40)
    centres = rng.standard_normal((4, 40), dtype=np.float32)
    for _ in range(count):
        noise = rng.standard_normal(40, dtype=np.float32) * np.float32(0.1)
        space.add(centres[rng.integers(4)] + noise)
    samples, weights = space.samples, space.weights
    assert len(samples) == min(capacity, count)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert (weights > 0).all()
    gram = 2 * samples.astype(np.float64) @ samples.T.astype(np.float64)
    np.testing.assert_allclose(space._gram[: len(samples), : len(samples)], gram, atol=1e-3)


def test_the_sample_space_merges_what_is_alike():
    space = SampleSpace(3, 4)
    for value in (0.0, 10.0, 20.0):
        space.add(np.full(4, value, np.float32))
    space.add(np.full(4, 10.1, np.float32))  # nearest to the second, nearer than any two are
    assert len(space.samples) == 3
    assert 10 < space.samples[1, 0] < 10.1
    np.testing.assert_array_equal(space.samples[[0, 2], 0], [0, 20])
    space.add(np.full(4, 90.0, np.float32))  # far from all: the closest pair makes room
    assert sorted(space.samples[:, 0].round(1).tolist())[-1] == 90.0
    assert space.weights[space.samples[:, 0] == 90] == pytest.approx(RATE)


@pytest.mark.parametrize(("later", "forgotten"), [(59, False), (61, True)])
def test_the_sample_space_forgets_what_nothing_resembled_for_sixty_samples(later: int, forgotten: bool):
    space = SampleSpace(2, 4)
    for value in (0.0, 100.0, *[0.0] * later, 51.0):
        space.add(np.full(4, value, np.float32))
    assert space.samples[0, 0] == 0
    assert (space.samples[1, 0] == 51) == forgotten
    assert space.weights.sum() == pytest.approx(1, abs=1e-5)
    if forgotten:
        assert space.weights[1] == pytest.approx(RATE)


def test_the_scale_filter_finds_a_change_of_size():
    image = texture(5, 300, 300, 3)
    position, size = (150.0, 150.0), (60.0, 44.0)
    scales = ScaleFilter(size, size, False, None)
    scales.learn(image, position, 1.0)
    assert scales.estimate(image, position, 1.0) == pytest.approx(1, abs=2e-3)
    for scale in (0.92, 0.97, 1.03, 1.08):
        # One step is cautious, because the window over scales prefers the middle; a few arrive.
        once = scale * scales.estimate(image, position, scale)
        assert abs(math.log(once)) < 0.6 * abs(math.log(scale))
        for _ in range(4):
            once *= scales.estimate(image, position, once)
        assert once == pytest.approx(1, abs=0.01)


def test_the_scale_filter_has_the_published_scales_and_rate():
    one, other = ScaleFilter((40, 30), (40, 30), False, None), ScaleFilter((40, 30), (40, 30), False, None)
    np.testing.assert_allclose(one._factors, 1.02 ** (np.arange(-8, 9) * 33 / 17))
    images = [texture(seed, 120, 120, 3) for seed in (1, 2)]
    one.learn(images[0], (60, 60), 1.0)
    first = one._denominator.copy()
    one.learn(images[1], (60, 60), 1.0)
    other.learn(images[1], (60, 60), 1.0)
    np.testing.assert_allclose(one._denominator, 0.975 * first + 0.025 * other._denominator, rtol=1e-5)
