"""Measures a trained model on tuning classes, for one or more ways to sample.

python experiments/quality.py --checkpoint=runs/fusion -- steps=10 steps=3,best_of=4

Each argument is one setting: fields of the config's section `sampling`, joined by
commas. Adds a line for each to experiments/results/quality.jsonl: checkpoint, config,
setting, and the metrics of 50 tuning classes with 95 % intervals. Tuning classes are
held-out classes that no report measures, so a recipe may be chosen by them. With
--controls, also measures the jittered support and real images.
"""

import ast
import json
import pathlib

import jax
from absl import flags

from figr_jax import build, compilation, config, errors, generation, provenance
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, embedding, judging, samples, supports

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder, or the name of shipped weights."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Of a mix that the model was trained on: the data set to measure."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")
_CLASSES = flags.DEFINE_integer("classes", 50, "Tuning classes to measure on.")
_COUNT = flags.DEFINE_integer("count", 32, "Images of each class.")
_SEED = flags.DEFINE_integer("seed", 0, "Of supports, noise and latents.")
_CONTROLS = flags.DEFINE_boolean("controls", False, "Measure the controls too.")

LOG = pathlib.Path(__file__).parent / "results" / "quality.jsonl"
METRICS = (
    *("recognizability", "diversity", "kid", "recall", "precision"),
    *("pooled_copying", "vendi"),
)


def parse(setting):
    """`"steps=3,best_of=4"` as a dict of fields of the section `sampling`.

    Raises:
      BadInput: if it is of another form, or names no such field.
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
    """Tuning classes of a model's data set, with a support of each and a judge."""

    def __init__(self, model, dataset=None):
        """Draws the supports and loads the embeddings, or trains them once.

        Args:
          model: `generation.FewShotGenerator`.
          dataset: which data set of a mix; by default the model's own.

        Raises:
          BadInput: if all held-out classes are in reports.
        """
        own, shots = model.config.dataset, model.config.inner.shots
        size = own.image_size, own.channels
        bank = banks.load(dataset or own.name, *size, _DATA_DIR.value)
        split = model.split(bank)
        _, heldout = split.indices(bank.names)
        eligible = supports.find_eligible(bank, heldout, shots)
        tuning = supports.tuning_classes(eligible)
        if len(tuning) < 2:
            raise errors.BadInput(
                f"{bank.dataset}: {len(tuning)} tuning classes, all others are in "
                "reports; 2 are needed: train with more held-out classes"
            )
        self.dataset = bank.dataset
        self.classes = supports.choose(tuning, _CLASSES.value, 0)
        self._draw = supports.draw_supports(
            bank, self.classes, shots, _SEED.value, eligible
        )
        self._judge = judging.Judge(*embedding.load_all(bank, split))

    def measure(self, model, fields):
        """Adapts, draws and measures with some fields of `sampling` replaced.

        Returns:
          A dict: name of a metric to `mean`, `low` and `high`; also `sampling`,
          `meta_steps` and `seconds_per_class`.
        """
        values = model.config.to_dict()
        values["sampling"] |= fields
        inner = build.sampling(config.from_dict(values))
        drawn, seconds = samples.adapt_and_draw(
            *(model.networks, inner, model.slow, self._draw.supports),
            *(_SEED.value, _COUNT.value),
        )
        return self._summarize(drawn[:, 0]) | {
            "sampling": values["sampling"],
            "meta_steps": model.info["step"],
            "seconds_per_class": seconds,
        }

    def measure_controls(self):
        """The metrics of the jittered support and of real images: name to a dict."""
        supports = self._draw.supports
        keys = jax.random.split(jax.random.key(0), len(supports))
        pairs = zip(supports, keys, strict=True)
        jittered = [controls.jitter(x, _COUNT.value, key) for x, key in pairs]
        sets = {"jittered": jittered, "held-out real": self._draw.real}
        return {name: self._summarize(drawn) for name, drawn in sets.items()}

    def _summarize(self, sets):
        judged = judging.judge_all(self._judge, [sets], [self._draw])
        found = judging.summary(judged, 0)
        return {metric: found[metric] for metric in METRICS}


def show(found):
    """The means of the metrics as one line."""
    return ", ".join(f"{metric} {found[metric]['mean']:.3f}" for metric in METRICS)


def main(argv):
    """Measures, prints, adds lines."""
    if not _CHECKPOINT.value:
        raise errors.BadInput("--checkpoint is missing: give a run's folder or a name")
    settings = {setting: parse(setting) for setting in argv or [""]}
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    tuning = Tuning(model, _DATASET.value)

    def record(setting, found):
        line = {"checkpoint": _CHECKPOINT.value, "setting": setting, **found}
        line |= {"dataset": tuning.dataset, "config": model.info["config"]}
        line |= {"classes": len(tuning.classes), "count": _COUNT.value}
        line |= {"seed": _SEED.value} | provenance.describe()
        with open(LOG, "a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{_CHECKPOINT.value}, {setting}: {show(found)}", flush=True)

    if _CONTROLS.value:
        for name, found in tuning.measure_controls().items():
            record(name, found)
    for setting, fields in settings.items():
        record(setting, tuning.measure(model, fields))


if __name__ == "__main__":
    errors.run(main, takes_arguments=True)
