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
import numpy as np
from absl import flags

from figr_jax import compilation, config, errors, generation, provenance
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, embedding, protocol

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder, or the name of shipped weights.", required=True
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


def main(argv):
    """Measures, prints, adds lines."""
    settings = [parse(setting) for setting in argv or [""]]
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    dataset, shots = model.config.dataset, model.config.inner.shots
    size = dataset.image_size, dataset.channels
    bank = banks.load(_DATASET.value or dataset.name, *size, _DATA_DIR.value)
    split = protocol.model_split(model, bank)
    eligible = protocol.find_eligible(bank, split.indices(bank.names)[1], shots)
    tuning = protocol.tuning_classes(eligible)
    if len(tuning) < 2:
        raise errors.BadInput(
            f"{bank.dataset}: {len(tuning)} tuning classes, all others are in reports; "
            "2 are needed: train with more held-out classes"
        )
    classes = protocol.choose(tuning, _CLASSES.value, 0)
    draw = protocol.draw_supports(bank, classes, shots, _SEED.value, eligible)
    judge = protocol.Judge(*embedding.load_all(bank, split))

    def record(name, sets, **more):
        found = protocol.summary(protocol.judge_all(judge, [sets], [draw]), 0)
        line = {"checkpoint": _CHECKPOINT.value, "setting": name, **more}
        line["dataset"] = bank.dataset
        line |= {metric: found[metric] for metric in METRICS}
        line |= {"classes": len(classes), "count": _COUNT.value, "seed": _SEED.value}
        with open(LOG, "a") as file:
            file.write(json.dumps(line | provenance.describe()) + "\n")
        shown = (f"{metric} {found[metric]['mean']:.3f}" for metric in METRICS)
        print(f"{_CHECKPOINT.value}, {name}: {', '.join(shown)}", flush=True)

    if _CONTROLS.value:
        keys = jax.random.split(jax.random.key(0), len(classes))
        pairs = zip(draw.supports, keys, strict=True)
        record("jittered", [controls.jitter(x, _COUNT.value, k) for x, k in pairs])
        record("held-out real", draw.real)
    for setting, fields in zip(argv or [""], settings, strict=True):
        values = model.config.to_dict()
        values["sampling"] |= fields
        model.config = config.from_dict(values)
        inner = config.build_sampling(model.config)
        drawn, seconds = protocol.adapt_and_draw(
            *(model.networks, inner, model.slow, draw.supports),
            *(_SEED.value, _COUNT.value),
            what=setting,
        )
        record(
            setting,
            np.asarray(drawn[:, 0]),
            sampling=model.config.sampling.to_dict(),
            meta_steps=model.info["step"],
            config=model.info["config"],
            seconds_per_class=seconds,
        )


if __name__ == "__main__":
    errors.run(main, takes_arguments=True)
