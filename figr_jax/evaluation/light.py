"""Evaluation during training: three metrics on a few tuning classes.

The losses of a GAN do not show whether its images are good; these metrics do.
"""

import numpy as np

from figr_jax import build
from figr_jax.common.errors import say
from figr_jax.data import bank as banks
from figr_jax.data import datasets
from figr_jax.evaluation import embedding, evaluators, samples, supports

CLASSES = 10
COUNT = 32  # images of each class
METRICS = ("recognizability", "diversity", "copying")


class Light:
    """Measures slow parameters on the same few tuning classes each time.

    For a mix, it measures each data set by itself.
    """

    def __init__(self, cfg, bank, split, data_dir=None):
        """Chooses the classes and loads the embeddings, or trains them once.

        Args:
          cfg: the run's config.
          bank: `bank.Bank`.
          split: `splits.Split`.
          data_dir: where prepared data sets live; TFDS's own default if None.

        Raises:
          BadInput: if too few held-out classes have images to compare with.
        """
        self._networks = build.networks(cfg)
        self._sampling = build.sampling(cfg)
        names, parts = datasets.parts(bank.dataset), {"": bank}
        if len(names) > 1:
            size = cfg.dataset.image_size, cfg.dataset.channels
            parts = {f"{name}/": banks.load(name, *size, data_dir) for name in names}
        # By prefix of the metrics: a `supports.Draw` and its `Evaluator`.
        self._parts = {
            prefix: _prepare(cfg, own, split.of_bank(own))
            for prefix, own in parts.items()
        }
        for prefix, (draw, _) in self._parts.items():
            real = self._measure(prefix, draw.real)
            metrics = "  ".join(f"{name} {value:.3f}" for name, value in real.items())
            say(f"evaluation of held-out real images, for comparison: {metrics}")

    def _measure(self, prefix, drawn):
        draw, evaluator = self._parts[prefix]
        values = evaluator(drawn, draw)
        return {f"{prefix}{name}": float(np.mean(values[name])) for name in METRICS}

    def __call__(self, slow):
        """Measures slow parameters.

        Args:
          slow: `networks.GanParams`.

        Returns:
          A dict of `METRICS`, means over classes. Of a mix, those of each data set: the
          names are then `omniglot/recognizability` and so on.
        """
        measured = {}
        for prefix, (draw, _) in self._parts.items():
            drawn, _ = samples.adapt_and_draw(
                self._networks,
                self._sampling,
                slow,
                draw.supports,
                draw.seed,
                COUNT,
                label="evaluating",
            )
            measured |= self._measure(prefix, drawn[:, 0])
        return measured


def _prepare(cfg, bank, split):
    """Chooses the classes of one data set, and loads or trains its embeddings.

    Returns:
      A `supports.Draw` and its `Evaluator`.
    """
    shots, seed = cfg.inner.shots, cfg.run.seed
    kind = "tuning" if split.tuning else "heldout"  # of few, none is for tuning
    classes, eligible = supports.choose_classes(bank, split, kind, shots, CLASSES, seed)
    draw = supports.draw_supports(bank, classes, shots, seed, eligible)
    return draw, evaluators.Evaluator(*embedding.load_all(bank, split))
