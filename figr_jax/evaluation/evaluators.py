"""Comparison of generated with real images of their class, in two embeddings."""

import hashlib

import numpy as np

from figr_jax.common.errors import say
from figr_jax.data import styles
from figr_jax.evaluation import metrics

WAYS = 20  # classes among which an image is recognized


def neighbours(draws):
    """Chooses the k of the manifold metrics, at most 5.

    Half of the smallest class: with a larger k, the neighbourhood of a point would
    reach into another class.
    """
    sizes = [len(x) for draw in draws for x in (*draw.reference, *draw.real)]
    return max(1, min(5, min(sizes) // 2))


class Evaluator:
    """Compares generated with real images in the features of two embeddings."""

    def __init__(self, prototypical, simclr):
        """Takes the two `conv4.Embedding`s."""
        self.embeddings = prototypical, simclr
        self._known = {}

    def class_means(self, sets):
        """Computes the mean prototypical features of each set: `[sets, F]`."""
        return np.stack([x.mean(0) for x in self.embeddings[0].of_sets(sets)])

    def features(self, sets):
        """Computes the features of sets of images.

        Args:
          sets: list of `[n, H, W, C]` uint8.

        Returns:
          For each set its prototypical and its SimCLR features, `[n, F]` each.
        """
        return list(zip(*(x.of_sets(sets) for x in self.embeddings), strict=True))

    def _remembered(self, sets):
        """Returns `features` of real images, cached: many arms share them."""
        keys = [hashlib.sha256(np.ascontiguousarray(x)).digest() for x in sets]
        new = {k: x for k, x in zip(keys, sets, strict=True) if k not in self._known}
        if new:
            features = self.features(list(new.values()))
            self._known.update(zip(new, features, strict=True))
        return [self._known[key] for key in keys]

    def __call__(self, drawn, draw, k=None):
        """Measures the images of each class.

        Args:
          drawn: for each class `[m, H, W, C]` uint8.
          draw: the `Draw` that they are from.
          k: of the manifold metrics; by default `neighbours([draw])`.

        Returns:
          A dict of the metrics of each class, `[classes]` floats.
        """
        ((prototypes, _),) = self._remembered([draw.prototypes])
        reference = self._remembered(draw.reference)
        supports = self._remembered(draw.supports)
        centre = np.concatenate([simclr for _, simclr in reference]).mean(0)
        rows, generated = [], []
        for label, (prototypical, simclr) in enumerate(self.features(drawn)):
            real_prototypical, real_simclr = reference[label]
            # Diversity, the Vendi score and the manifold metrics depend on the number
            # of images, so they use as many as there are real ones.
            count = len(draw.real[label])
            right = metrics.recognizability(prototypical, label, prototypes, WAYS)
            rows.append(
                {
                    "recognizability": right.mean(),
                    "diversity": metrics.diversity(simclr[:count]),
                    "vendi": metrics.vendi(simclr[:count] - centre),
                    "kid": metrics.kid(real_prototypical, prototypical),
                    "copying": metrics.copying(simclr, real_simclr, supports[label][1]),
                }
            )
            generated.append(prototypical[:count])
        measured = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        real = [prototypical for prototypical, _ in reference]
        k = k or neighbours([draw])
        near = metrics.manifold(np.concatenate(real), np.concatenate(generated), k)
        for name, values in near.items():
            sets = real if name in ("recall", "coverage") else generated
            ends = np.cumsum([len(x) for x in sets])[:-1]
            measured[name] = np.array([x.mean() for x in np.split(values, ends)])
        return measured | _find_blemishes(drawn, draw)


def _find_blemishes(drawn, draw):
    """Measures what a person sees first: specks and haze, `[classes]` each."""
    real = np.concatenate(draw.reference)
    background = np.median(styles.find_backgrounds(real))
    ink = [styles.find_ink(np.asarray(x), background) for x in drawn]
    return {
        "specks": np.array([metrics.specks(x).mean() for x in ink]),
        "haze": np.array([metrics.haze(x).mean() for x in ink]),
    }


def summary(values, seed):
    """Computes the mean and the 95 % bootstrap interval over classes of each metric.

    Args:
      values: dict: name of a metric to `[draws, classes]` floats.
      seed: of the bootstrap.

    Returns:
      A dict: name to `mean`, `low` and `high`; also of `pooled_copying`.
    """
    means = {name: value.mean(0) for name, value in values.items()}
    statistics = {name: lambda i, v=v: v[i].mean() for name, v in means.items()}
    statistics["pooled_copying"] = lambda i: pool(values["copying"][:, i])
    summaries, classes = {}, values["copying"].shape[1]
    for name, statistic in statistics.items():
        low, high = metrics.bootstrap(statistic, classes, seed)
        mean = float(statistic(np.arange(classes)))
        summaries[name] = {"mean": mean, "low": low, "high": high}
    return summaries


def pool(scores):
    """Pools z-scores over classes: the sum over the root of their number (Stouffer).

    Classes are independent, draws of a class are not: they share its images. So each
    draw is pooled by itself, and the median over draws is taken. If nothing is copied,
    its standard deviation is 1 if all draws agree, and 0.67 for three independent
    draws.

    Args:
      scores: `[draws, classes]`, standard normal if nothing is copied.

    Returns:
      A number; for one draw, standard normal if nothing is copied.
    """
    return float(np.median(scores.sum(1) / np.sqrt(scores.shape[1])))


def compare(values, others, seed):
    """Summarizes the differences between two rows of the table, class by class.

    The difference of two independent z-scores has variance 2, so the pooled difference
    is divided by sqrt(2). The rows share their real images, so the standard deviation
    of the result is at most 1.

    Args:
      values: dict: name of a metric to `[draws, classes]` floats.
      others: the same.
      seed: of the bootstrap.
    """
    differences = summary({name: x - others[name] for name, x in values.items()}, seed)
    pooled = differences["pooled_copying"]
    differences["pooled_copying"] = {key: x / np.sqrt(2) for key, x in pooled.items()}
    return differences


def evaluate_sets(evaluator, drawn, draws, k=None):
    """Measures one row of the table: a dict of `[draws, classes]` floats.

    Args:
      evaluator: `Evaluator`.
      drawn: for each draw and class `[m, H, W, C]` uint8.
      draws: list of `Draw`.
      k: of the manifold metrics; by default `neighbours(draws)`.
    """
    k = k or neighbours(draws)
    rows = [evaluator(sets, draw, k) for sets, draw in zip(drawn, draws, strict=True)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def evaluate_arms(evaluator, arms, draws):
    """Measures the rows of a table: a dict of name to the result of `evaluate_sets`.

    Args:
      evaluator: `Evaluator`.
      arms: dict of name to the images of a row, see `evaluate_sets`.
      draws: list of `Draw`.
    """
    rows = {}
    for name, drawn in arms.items():
        say(f"measuring: {name}")
        rows[name] = evaluate_sets(evaluator, drawn, draws)
    return rows
