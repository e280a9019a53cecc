"""Options, classes and evaluator that reports, comparisons and the plane share."""

import pathlib
from typing import NamedTuple

import numpy as np

from figr_jax.common import files
from figr_jax.common.errors import BadInput, say
from figr_jax.data import bank as banks
from figr_jax.evaluation import embedding, evaluators, presentation, samples, supports


class Options(NamedTuple):
    """Options of a report.

    Attributes:
      draws: number of supports per class.
      count: images per support.
      classes: number of report classes, chosen by seed; 0: all.
      curve_classes: number of them in the curves; 0: no curves.
      scratch: number of them for which a GAN is trained from scratch.
      seed: seed of every random draw.
      metrics: names of the metrics in the table, see `presentation.METRICS`.
    """

    draws: int = 3
    count: int = 64
    classes: int = 0
    curve_classes: int = 20
    scratch: int = 2
    seed: int = 0
    metrics: tuple[str, ...] = tuple(presentation.METRICS)


def check_choice(model, flag="--checkpoint"):
    """Raises `BadInput` if the sampling of a model was chosen on report classes."""
    if model.config.sampling.chosen_on == "report":
        raise BadInput(
            f"{flag}: its sampling was chosen on report classes, so measuring them "
            "would flatter it; choose it on tuning classes (experiments/quality.py)"
        )


def check(model, options, flag="--checkpoint"):
    """Checks a model and options before any work.

    Args:
      model: `generation.FewShotGenerator`.
      options: `Options`.
      flag: the flag that names the model, for messages.

    Raises:
      BadInput: if an option does not fit, or the model was chosen by report classes.
    """
    check_choice(model, flag)

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
    """Inputs that all rows of a table share.

    Attributes:
      bank: `bank.Bank`.
      eligible: indices of the held-out classes that can be evaluated.
      classes: indices of the classes to measure.
      shots: largest number of support images.
      evaluator: `evaluators.Evaluator`.
      folder: `pathlib.Path` of the folder that gets the results.
      options: `Options`.
    """

    bank: banks.Bank
    eligible: np.ndarray
    classes: np.ndarray
    shots: int
    evaluator: evaluators.Evaluator
    folder: pathlib.Path
    options: Options

    @property
    def names(self):
        """Returns the names of the classes."""
        return [self.bank.names[index] for index in self.classes]

    @property
    def ways(self):
        """Returns the number of classes among which an image is recognized."""
        return min(evaluators.WAYS, len(self.eligible))

    def draw_supports(self, classes, shots, seed):
        """Draws a support for each class, see `supports.draw_supports`."""
        return supports.draw_supports(self.bank, classes, shots, seed, self.eligible)

    def draw_all(self):
        """Returns `options.draws` draws of supports of the classes to measure."""
        sequence = np.random.SeedSequence(self.options.seed)
        seeds = sequence.generate_state(self.options.draws) >> 1  # 31 bits
        return [self.draw_supports(self.classes, self.shots, int(x)) for x in seeds]

    def images(self, model):
        """Returns the `samples.Images` of a model."""
        options = self.options
        return samples.Images(
            self.folder / "images", model, options.seed, options.count
        )

    def summarize(self, sets, draw, k=None):
        """Summarizes one draw, see `evaluators.evaluate_sets`."""
        values = evaluators.evaluate_sets(self.evaluator, [sets], [draw], k)
        return evaluators.summary(values, self.options.seed)


def prepare(bank, split, shots, options, out, flag="--out"):
    """Chooses the report classes, loads the embeddings, makes the folder.

    Args:
      bank: `bank.Bank`.
      split: `splits.Split`.
      shots: largest number of support images.
      options: `Options`.
      out: folder for the results.
      flag: the flag that names the folder, for messages.

    Returns:
      A `Measurement`.

    Raises:
      BadInput: if too few classes have enough images, or the folder cannot be made.
    """
    classes, eligible = supports.choose_classes(
        bank, split, "report", shots, options.classes, options.seed
    )
    evaluator = evaluators.Evaluator(*embedding.load_all(bank, split))
    folder = files.make_folder(out, flag)
    work = Measurement(bank, eligible, classes, shots, evaluator, folder, options)
    if work.ways < evaluators.WAYS:
        say(
            f"recognizability is {work.ways}-way: no more held-out classes can be "
            "evaluated"
        )
    return work
