"""Evaluation during training: three metrics on a few tuning classes.

The losses of a GAN do not show whether its images are good; these metrics do.
"""

import numpy as np

from figr_jax import build
from figr_jax.common.errors import say
from figr_jax.evaluation import embedding, evaluators, samples, supports

CLASSES = 10
COUNT = 32  # images of each class
METRICS = ("recognizability", "diversity", "copying")


class Light:
    """Measures slow parameters on the same few tuning classes each time."""

    def __init__(self, cfg, bank, split):
        """Chooses the classes and loads the embeddings, or trains them once.

        Args:
          cfg: the run's config.
          bank: `bank.Bank`.
          split: `splits.Split`.

        Raises:
          BadInput: if too few held-out classes have images to compare with.
        """
        shots, seed = cfg.inner.shots, cfg.run.seed
        kind = "tuning" if split.tuning else "heldout"  # of few, none is for tuning
        classes, eligible = supports.choose_classes(
            bank, split, kind, shots, CLASSES, seed
        )
        self._draw = supports.draw_supports(bank, classes, shots, seed, eligible)
        self._evaluator = evaluators.Evaluator(*embedding.load_all(bank, split))
        self._networks = build.networks(cfg)
        self._sampling = build.sampling(cfg)
        real = self._measure(self._draw.real)
        metrics = "  ".join(f"{name} {value:.3f}" for name, value in real.items())
        say(f"evaluation of held-out real images, for comparison: {metrics}")

    def _measure(self, drawn):
        values = self._evaluator(drawn, self._draw)
        return {name: float(np.mean(values[name])) for name in METRICS}

    def __call__(self, slow):
        """Measures slow parameters: a dict of `METRICS`, means over classes."""
        drawn, _ = samples.adapt_and_draw(
            self._networks,
            self._sampling,
            slow,
            self._draw.supports,
            self._draw.seed,
            COUNT,
            label="evaluating",
        )
        return self._measure(drawn[:, 0])
