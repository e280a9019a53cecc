"""Metrics against their definitions, by brute force, and against known answers."""

import itertools

import numpy as np
import prdc
import pytest
import vendi_score.vendi

from figr_jax.evaluation import evaluators, metrics, supports


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_recognizability_is_the_mean_over_all_episodes(draw):
    prototypes = draw.normal(size=(6, 3))
    features = prototypes[[0, 1, 5]] + draw.normal(size=(3, 3))
    labels = np.array([0, 1, 5])
    for x, label, got in zip(
        features,
        labels,
        metrics.recognizability(features, labels, prototypes, ways=3),
        strict=True,
    ):
        distances = ((prototypes - x) ** 2).sum(1)
        others = [i for i in range(6) if i != label]
        right = [
            distances[label] < distances[list(pair)].min()
            for pair in itertools.combinations(others, 2)
        ]
        assert got == pytest.approx(np.mean(right))


def test_recognizability_with_fewer_classes_than_ways(draw):
    prototypes = np.eye(4)
    right = metrics.recognizability(np.eye(4), np.arange(4), prototypes)
    np.testing.assert_allclose(right, 1)
    wrong = metrics.recognizability(np.eye(4), (np.arange(4) + 1) % 4, prototypes)
    np.testing.assert_allclose(wrong, 0)


def test_the_same_picture_in_two_classes_is_guessed():
    prototypes = np.eye(3)[[0, 0, 1, 2]]  # the first two are alike
    for ways, expected in ((4, 1 / 2), (2, (1 / 2 + 1 + 1) / 3)):
        got = metrics.recognizability(np.eye(3)[:1], np.zeros(1, int), prototypes, ways)
        assert got == pytest.approx(expected)


def test_diversity_is_the_mean_standard_deviation():
    features = np.array([[0.0, 0], [2, 0], [4, 6]])
    assert metrics.diversity(features) == pytest.approx((2 + 12**0.5) / 2)


def test_vendi_counts_what_differs():
    assert metrics.vendi(np.eye(7)) == pytest.approx(7)
    assert metrics.vendi(np.ones((7, 3))) == pytest.approx(1)
    assert metrics.vendi(np.eye(7)[[0, 0, 1, 1]]) == pytest.approx(2)


def test_vendi_is_that_of_its_authors(draw):
    features = draw.normal(size=(20, 6))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = vendi_score.vendi.score_dual(unit)
    assert metrics.vendi(features) == pytest.approx(expected)


def test_kid_is_its_definition(draw):
    x, y = draw.normal(size=(9, 4)), draw.normal(size=(7, 4)) + 1

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    def within(z):
        pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j]
        return np.mean([kernel(z[i], z[j]) for i, j in pairs])

    between = np.mean([kernel(a, b) for a in x for b in y])
    assert metrics.kid(x, y) == pytest.approx(within(x) + within(y) - 2 * between)


def test_kid_is_unbiased_for_any_sizes(draw):
    values = [
        metrics.kid(draw.normal(size=(2, 8)), draw.normal(size=(16, 8)))
        for _ in range(300)
    ]
    error = np.std(values) / 300**0.5
    assert abs(np.mean(values)) < 3 * error and min(values) < 0


def test_manifold_metrics_are_those_of_their_authors(draw):
    real, generated = draw.normal(size=(20, 2)), draw.normal(size=(30, 2)) + 0.5
    got = metrics.manifold(real, generated, 5)
    expected = prdc.compute_prdc(real, generated, nearest_k=5)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert got[name].mean() == pytest.approx(value), name
    # Of copies of the real ones, coverage says nothing bad: the copying test must.
    assert metrics.manifold(real, real, 5)["coverage"].all()


def test_copies_are_caught_by_z_u(draw):
    support, real = draw.normal(size=(4, 8)), draw.normal(size=(16, 8))
    copies = metrics.copying(support[np.arange(64) % 4], real, support)
    assert copies < -5
    near = support[np.arange(64) % 4] + 0.1 * draw.normal(size=(64, 8))
    assert metrics.copying(near, real, support) < -5
    new = [
        metrics.copying(draw.normal(size=(64, 8)), draw.normal(size=(16, 8)), support)
        for _ in range(50)
    ]
    assert abs(np.mean(new)) < 0.5


def test_z_u_is_the_mann_whitney_score():
    support = np.zeros((1, 1))
    generated, real = np.array([[1.0], [3.0]]), np.array([[2.0], [4.0], [5.0]])
    # Of six pairs, one has the generated image farther away; a tie counts a half.
    expected = (1 - 3) / (2 * 3 * 6 / 12) ** 0.5
    assert metrics.copying(generated, real, support) == pytest.approx(expected)


def test_wilson_interval():
    # By the formula, (p + z^2 / 2n +- z sqrt(pq / n + z^2 / 4n^2)) / (1 + z^2 / n).
    low, high = metrics.wilson(52, 100)
    assert (low, high) == (
        pytest.approx(0.42317, abs=1e-4),
        pytest.approx(0.61535, abs=1e-4),
    )


def test_bootstrap_intervals_cover_the_mean(draw):
    covered = 0
    for _ in range(100):
        values = draw.normal(size=30)
        low, high = metrics.bootstrap(
            lambda i, v=values: v[i].mean(), 30, resamplings=200
        )
        covered += low < 0 < high
    assert 85 <= covered <= 100


@pytest.mark.parametrize("draws, low, high", [(1, 0.97, 1.03), (3, 0.6, 1.03)])
def test_the_pooled_score_is_a_z_score(draws, low, high):
    scores = np.random.default_rng(0).standard_normal((4000, draws, 50))
    pooled = [evaluators.pool(one) for one in scores]
    assert low < np.std(pooled) < high and abs(np.mean(pooled)) < 0.06
    copied = evaluators.pool(scores[0] - 1)  # by a deviation in each class
    assert abs(copied - evaluators.pool(scores[0]) + 50**0.5) < 1e-6


def test_two_rows_are_compared_class_by_class():
    random = np.random.default_rng(0)
    found = []
    for one, other in random.standard_normal((60, 2, 1, 50)):
        row = evaluators.compare({"copying": one}, {"copying": other}, 0)
        found.append(row["pooled_copying"]["mean"])
    assert 0.8 < np.std(found) < 1.2


def test_specks_are_small_pieces_of_ink():
    ink = np.zeros((3, 32, 32))
    ink[0, 10:20, 5] = 1  # a stroke of 10 pixels,
    ink[0, 2, 2] = ink[0, 3, 3] = 1  # a speck of two that touch by a corner,
    ink[0, 31, 31] = 0.4  # and what is too faint to be one
    ink[1, 0:2, 0:2] = 1  # a dot of 4 pixels is none
    np.testing.assert_allclose(metrics.specks(ink), [2 / 12, 0, 0])


def test_haze_is_the_share_of_grey_pixels():
    ink = np.zeros((2, 10, 10))
    ink[0, 0] = 1
    ink[0, 1, :5] = 0.5
    ink[1] = 0.05
    np.testing.assert_allclose(metrics.haze(ink), [0.05, 0])


def test_blemishes_are_seen_on_light_and_on_dark_ground():
    clean = np.zeros((4, 32, 32, 1), np.uint8)
    clean[:, 8:24, 15:18] = 255
    dirty = clean.copy()
    dirty[:, 2, 2:30:4] = 255
    dirty[:, 28:30] = 100
    for ground in (clean, dirty), (255 - clean, 255 - dirty):
        draw = supports.Draw(None, None, [ground[0]], [ground[0]])
        found = evaluators._find_blemishes([ground[0], ground[1]], draw)
        assert found["specks"][0] == found["haze"][0] == 0
        assert found["specks"][1] == pytest.approx(7 / (7 + 3 * 16))
        assert found["haze"][1] == pytest.approx(2 / 32)
