"""One checkpoint on its held-out classes: what the parts of its report measure with."""

import pathlib
from typing import NamedTuple

import numpy as np

from figr_jax import build, generation, networks
from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.evaluation import judging, presentation, samples, supports


class Options(NamedTuple):
    """Options of a report.

    Attributes:
      draws: of supports for each class.
      count: images to draw of each class.
      classes: how many report classes, chosen by seed; 0: all.
      curve_classes: how many of them the curves are of; 0: no curves.
      scratch: for how many of them a GAN is trained from scratch.
      seed: of every random draw.
      metrics: names of those in the table, see `presentation.METRICS`.
    """

    draws: int = 3
    count: int = 64
    classes: int = 0
    curve_classes: int = 20
    scratch: int = 2
    seed: int = 0
    metrics: tuple[str, ...] = tuple(presentation.METRICS)


def check(model, options, flag="--checkpoint"):
    """Checks a model and options before any work.

    Args:
      model: `generation.FewShotGenerator`.
      options: `Options`.
      flag: the flag that names the model, for messages.

    Raises:
      BadInput: if an option does not fit, or the model was chosen by report classes.
    """
    if model.config.sampling.chosen_on == "report":
        raise BadInput(
            f"{flag}: its sampling was chosen on report classes, so a report would "
            "flatter it; choose it on tuning classes (experiments/quality.py)"
        )
    if options.classes == 1:
        raise BadInput("--classes=1: at least 2 are needed to tell one from another")
    if options.curve_classes == 1:
        raise BadInput("--curve_classes=1: at least 2 are needed, or 0 for no curves")
    known = presentation.METRICS
    if unknown := [name for name in options.metrics if name not in known]:
        raise BadInput(
            f"--metrics={unknown[0]}: no such metric; there are {', '.join(known)}"
        )


class Measurement(NamedTuple):
    """Inputs that all parts of a report share."""

    model: generation.FewShotGenerator
    joint: generation.FewShotGenerator | None
    random: networks.GanParams  # weights that no training has touched
    bank: banks.Bank
    training: np.ndarray  # class indices, as the next two
    eligible: np.ndarray
    classes: np.ndarray
    judge: judging.Judge
    images: samples.Images
    folder: pathlib.Path  # that gets the report
    options: Options

    @property
    def shots(self):
        """Returns the number of support images of the model."""
        return self.model.config.inner.shots

    @property
    def names(self):
        """Returns the names of the classes."""
        return [self.bank.names[index] for index in self.classes]

    @property
    def sampling(self):
        """Returns the model's `sampling.Sampling`."""
        return build.sampling(self.model.config)

    def draw_supports(self, classes, shots, seed):
        """Draws a support for each class, see `supports.draw_supports`."""
        return supports.draw_supports(self.bank, classes, shots, seed, self.eligible)

    def adapt_and_draw(self, name, slow, options, draw, seed, at=None):
        """Returns the images and seconds of `samples.adapt_and_draw`, cached."""
        is_joint = self.joint and slow is self.joint.slow
        weights = self.joint.info["checksums"] if is_joint else ""
        return self.images.adapt_and_draw(
            name, options, slow, draw.supports, seed, at, weights
        )

    def summarize(self, sets, draw, k=None):
        """Summarizes one draw, see `judging.judge_all`."""
        values = judging.judge_all(self.judge, [sets], [draw], k)
        return judging.summary(values, self.options.seed)
