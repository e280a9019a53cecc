"""Metrics of a trained model on tuning classes, for one or more sampling settings.

python experiments/quality.py --checkpoint=runs/fusion -- steps=10 steps=3,best_of=4

Each argument is one setting: fields of the config's section `sampling`, joined by
commas. Appends a line per setting to experiments/results/quality.jsonl: checkpoint,
config, setting, and the metrics of 50 tuning classes with 95 % intervals. Tuning
classes are held-out classes that no report measures, so use them to choose settings.
With --controls, also measures the jittered support and real images.
"""

import records
import tuning
from absl import flags

from figr_jax import generation
from figr_jax.common import command, compilation, errors

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder, or the name of shipped weights."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Data set to measure, for a model that was trained on a mix."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
_CLASSES = flags.DEFINE_integer("classes", 50, "Number of tuning classes.")
_COUNT = flags.DEFINE_integer("count", 32, "Images per class.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of supports, noise and latents.")
_CONTROLS = flags.DEFINE_boolean("controls", False, "Also measure the controls.")


def main(argv):
    """Measures every setting and appends it to the log."""
    if not _CHECKPOINT.value:
        raise errors.BadInput(
            "--checkpoint is missing: give a run's folder or name shipped weights"
        )
    settings = {setting: tuning.parse(setting) for setting in argv or [""]}
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    measured = tuning.Tuning(
        model,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        classes=_CLASSES.value,
        count=_COUNT.value,
        seed=_SEED.value,
    )

    def record(setting, metrics):
        line = {"checkpoint": _CHECKPOINT.value, "setting": setting, **metrics}
        line |= {"dataset": measured.dataset, "config": model.info["config"]}
        line |= {"classes": len(measured.classes), "count": _COUNT.value}
        records.append("quality.jsonl", line | {"seed": _SEED.value})
        print(f"{_CHECKPOINT.value}, {setting}: {tuning.show(metrics)}", flush=True)

    if _CONTROLS.value:
        for name, metrics in measured.measure_controls().items():
            record(name, metrics)
    for setting, fields in settings.items():
        record(setting, measured.measure(model, fields))


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
