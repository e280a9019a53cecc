"""The metrics of few-shot generation: pure functions of features or ink, in numpy.

Features are `[n, F]` float arrays, one row an image, of a frozen embedding that was
trained on other classes (`embedding`). Ink is `[n, H, W]`, in [0, 1]: 0 where an image
is blank. Every function is deterministic.
"""

import numpy as np
from scipy import ndimage, special
from scipy.spatial import distance

_SPECK = 1 / 256  # of the pixels of an image: 4 of 32x32


def recognizability(features, labels, prototypes, ways=20):
    """Computes for each image how often its own class has the nearest prototype.

    The 20-way 1-shot accuracy of Boutin et al. (2022, section 3) and Snell et al.
    (2017), averaged exactly over all choices of the `ways - 1` other classes. An image
    is recognized if none of the chosen classes is nearer than its own. With r nearer
    classes among the C - 1 others, a share comb(C - 1 - r, ways - 1) / comb(C - 1,
    ways - 1) of the choices excludes all of them.

    Args:
      features: `[n, F]` of the images.
      labels: the row of the images' class in `prototypes`: an int, or `[n]` of them.
      prototypes: `[C, F]`, one image of each class (1-shot), never one that a model has
        adapted to.
      ways: classes among which an image is recognized; all C if there are fewer.

    Returns:
      `[n]` in [0, 1]: for each image, its accuracy over all choices.
    """
    distances = distance.cdist(features, prototypes)
    own = distances[np.arange(len(features)), labels]
    farther = (distances > own[:, None]).sum(1)
    as_near = (distances == own[:, None]).sum(1) - 1  # without the own class
    others = len(prototypes) - 1
    drawn = min(ways - 1, others)

    def right(left):
        """Computes the share of choices with all other classes among the `left`."""
        return special.comb(left, drawn) / special.comb(others, drawn)

    # A class that is as near (the same picture twice) is guessed half of the time.
    return (right(farther) + right(farther + as_near)) / 2


def diversity(features):
    """Computes how much the images of one class differ (Boutin et al. 2022, section 3).

    The unbiased standard deviation of each feature, mean over features.

    Args:
      features: `[n, F]`, of the images of one class, n at least 2.

    Returns:
      A number of at least 0.
    """
    return float(features.std(0, ddof=1).mean())


def vendi(features):
    """Computes the Vendi score: the effective number of different images in a set.

    exp(-sum of l log l) over the eigenvalues l of K / n, where K holds the cosines
    between features (Friedman and Dieng 2023, definition 3.1).

    Args:
      features: `[n, F]`.

    Returns:
      A number in [1, n]: 1 if all are alike, n if no two are.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(norms, 1e-12)
    values = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def kid(x, y):
    """Computes the kernel distance: unbiased squared MMD (Binkowski et al. 2018).

    Its kernel is (x . y / F + 1)^3; an image is not compared with itself.

    Args:
      x: `[n, F]`, n at least 2.
      y: `[m, F]`, m at least 2.

    Returns:
      A number; unbiased whatever n and m are, so it may be below 0.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a):
        values = kernel(a, a)
        return (values.sum() - values.trace()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


def manifold(real, generated, k):
    """Computes precision, recall, density and coverage, image by image.

    Balls around the points of a set, as large as the distance to the k-th nearest other
    point of the set, stand for its manifold (Kynkaanniemi et al. 2019, equations 1 and
    2; Naeem et al. 2020, equations 3 and 4).

    Args:
      real: `[n, F]`, n above k.
      generated: `[m, F]`, m above k.
      k: neighbours.

    Returns:
      A dict, of which the means are the metrics: `precision` `[m]`, whether a generated
      image is in a ball of the real ones; `recall` `[n]`, whether a real one is in a
      ball of the generated; `density` `[m]`, in how many balls of the real ones a
      generated image is, over k; `coverage` `[n]`, whether the ball of a real image has
      a generated one in it.
    """

    def radii(points):
        distances = distance.cdist(points, points)
        return np.partition(distances, k, axis=1)[:, k]  # the 0th is the point itself

    between = distance.cdist(real, generated)
    in_real = between <= radii(real)[:, None]
    in_generated = between <= radii(generated)
    return {
        "precision": in_real.any(0).astype(float),
        "recall": in_generated.any(1).astype(float),
        "density": in_real.sum(0) / k,
        "coverage": in_real.any(1).astype(float),
    }


def copying(generated, real, support):
    """Computes Z_U: below 0 if generated images are nearer to the support than real.

    The Mann-Whitney z-score of the distances to the nearest image of the support
    (Meehan et al. 2020, section 3): far below 0 for copies, about 0 for new drawings.

    Args:
      generated: `[m, F]`.
      real: `[n, F]`, of the same class, without the support.
      support: `[shots, F]`.

    Returns:
      A number; at most sqrt(3 m n / (m + n + 1)) in size, so small sets cannot show
      much.
    """
    from scipy import stats  # takes half a second: not at the start of every run

    ours, theirs = (distance.cdist(x, support).min(1) for x in (generated, real))
    return float(stats.ranksums(ours, theirs).statistic)


def specks(ink):
    """Computes the share of the ink in specks: pieces below `_SPECK` of the image.

    Args:
      ink: `[n, H, W]`.

    Returns:
      `[n]` in [0, 1]; 0 for a blank image.
    """
    inked = ink > 0.5
    touching = np.zeros((3, 3, 3), int)
    touching[1] = 1  # the 8 neighbours within an image, none in other images
    pieces, _ = ndimage.label(inked, touching)
    is_speck = np.bincount(pieces.ravel()) < _SPECK * ink[0].size
    is_speck[0] = False  # the background
    total = inked.sum((1, 2))
    return is_speck[pieces].sum((1, 2)) / np.maximum(total, 1)


def haze(ink):
    """Computes the share of grey pixels: with between 10 % and 90 % of full ink.

    Args:
      ink: `[n, H, W]`.

    Returns:
      `[n]` in [0, 1].
    """
    return ((ink > 0.1) & (ink < 0.9)).mean((1, 2))


def wilson(right, count):
    """Computes the 95 % Wilson interval of a share: low and high (Wilson 1927).

    Args:
      right: number of correct answers.
      count: number of answers, at least 1.
    """
    from scipy import stats  # as above

    interval = stats.binomtest(right, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap(statistic, classes, seed=0, resamplings=1000):
    """Computes the 95 % bootstrap interval of a statistic over classes: low and high.

    Resamples classes, not images: images of a class are not independent.

    Args:
      statistic: function of `[classes]` indices of classes, with repetitions.
      classes: number of classes.
      seed: seed of the resampling.
      resamplings: number of them.
    """
    rng = np.random.default_rng(seed)
    samples = (rng.integers(0, classes, classes) for _ in range(resamplings))
    statistics = [statistic(sample) for sample in samples]
    return tuple(np.quantile(statistics, [0.025, 0.975]).tolist())
