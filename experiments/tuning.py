"""Tuning classes: held-out classes for choosing settings; no report measures them."""

import ast

from figr_jax import build, config
from figr_jax.common import errors
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, embedding, evaluators, samples, supports

METRICS = (
    *("recognizability", "diversity", "kid", "recall", "precision"),
    *("pooled_copying", "vendi", "specks", "haze"),
)


def parse(setting):
    """Parses `"steps=3,best_of=4"` to a dict of fields of the section `sampling`.

    Raises:
      BadInput: if the form is wrong or a field is unknown.
    """
    known = config.SCHEMA["sampling"]
    try:
        pairs = (pair.split("=") for pair in setting.split(",") if pair)
        fields = {name: ast.literal_eval(value) for name, value in pairs}
    except (ValueError, SyntaxError):
        fields = {"": None}
    if not fields.keys() <= known.keys():
        raise errors.BadInput(
            f"{setting!r}: must be name=number pairs with commas between, of "
            f"{', '.join(known)}"
        )
    return fields


class Tuning:
    """Tuning classes of a model's data set, with a support each, and an evaluator."""

    def __init__(
        self, model, dataset=None, data_dir=None, classes=50, count=32, seed=0
    ):
        """Samples the supports and loads the embeddings, or trains them once.

        Args:
          model: `generation.FewShotGenerator`.
          dataset: a data set of a mix; the default is the model's data set.
          data_dir: where prepared data sets are stored.
          classes: number of tuning classes to measure.
          count: images per class.
          seed: seed of supports, noise and latents.

        Raises:
          BadInput: if there are too few tuning classes.
        """
        own, shots = model.config.dataset, model.config.inner.shots
        size = own.image_size, own.channels
        bank = banks.load(dataset or own.name, *size, data_dir)
        split = model.split(bank)
        self.classes, eligible = supports.choose_classes(
            bank, split, "tuning", shots, classes, 0
        )
        self.dataset, self._count, self._seed = bank.dataset, count, seed
        self.draw = supports.draw_supports(bank, self.classes, shots, seed, eligible)
        self.evaluator = evaluators.Evaluator(*embedding.load_all(bank, split))

    @property
    def supports(self):
        """The support of each class: `[classes, shots, H, W, C]` uint8."""
        return self.draw.supports

    def measure(self, model, fields, supports=None):
        """Adapts, generates and measures, with some fields of `sampling` replaced.

        Args:
          model: `generation.FewShotGenerator`.
          fields: fields of `sampling`, see `parse`.
          supports: supports to adapt to, instead of those of this object.

        Returns:
          A dict: name of a metric to `mean`, `low` and `high`; also `sampling`,
          `meta_steps` and `seconds_per_class`.
        """
        values = model.config.to_dict()
        values["sampling"] |= fields
        options = build.sampling(config.from_dict(values))
        drawn, seconds = samples.adapt_and_draw(
            *(model.networks, options, model.slow),
            self.supports if supports is None else supports,
            *(self._seed, self._count),
        )
        return self._summarize(drawn[:, 0]) | {
            "sampling": values["sampling"],
            "meta_steps": model.info["step"],
            "seconds_per_class": seconds,
        }

    def measure_controls(self):
        """Measures the jittered support and real images: a dict of name to metrics."""
        jittered = controls.jitter_all(self.draw._replace(seed=0), self._count)
        sets = {"jittered": jittered, "held-out real": self.draw.real}
        return {name: self._summarize(drawn) for name, drawn in sets.items()}

    def _summarize(self, sets):
        measured = evaluators.evaluate_sets(self.evaluator, [sets], [self.draw])
        summary = evaluators.summary(measured, 0)
        return {metric: summary[metric] for metric in METRICS}


def show(metrics):
    """Formats the means of the metrics as one line."""
    return ", ".join(f"{metric} {metrics[metric]['mean']:.3f}" for metric in METRICS)
