"""Measures a checkpoint on its held-out classes.

python -m figr_jax.evaluate --checkpoint=runs/quickstart
python -m figr_jax.evaluate --checkpoint=runs/quickstart --judge_sheet=judge
python -m figr_jax.evaluate --judge_answers=judge/answers.csv
python -m figr_jax.evaluate --curves=runs/quickstart,runs/another --out=report
"""

import json
import pathlib
import sys

from absl import flags

from figr_jax import errors

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A run's folder (its newest good snapshot), one snapshot, or shipped weights.",
)
_OUT = flags.DEFINE_string(
    "out",
    None,
    "Folder for the report or the curves; by default `report` in the run's.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared data sets live; by default that of TFDS."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Of a mix that the model was trained on: the data set to measure."
)
_DRAWS = flags.DEFINE_integer("draws", 3, "Supports for each class.", lower_bound=1)
_COUNT = flags.DEFINE_integer("count", 64, "Images of each class.", lower_bound=16)
_CLASSES = flags.DEFINE_integer(
    "classes", 0, "That many held-out classes, chosen by seed; 0: all.", lower_bound=0
)
_CURVE_CLASSES = flags.DEFINE_integer(
    "curve_classes", 20, "Classes of the curves; 0: no curves.", lower_bound=0
)
_SCRATCH = flags.DEFINE_integer(
    "scratch", 2, "Classes for which a GAN is trained from scratch.", lower_bound=0
)
_METRICS = flags.DEFINE_list("metrics", None, "Metrics of the table; by default all.")
_JOINT = flags.DEFINE_string(
    "joint", None, "Another checkpoint, trained with --config.inner.steps=1."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of every random draw.", lower_bound=0, upper_bound=2**31 - 1
)
_JUDGE_SHEET = flags.DEFINE_string(
    "judge_sheet", None, "Instead of a report: folder for real and generated images."
)
_JUDGE_ANSWERS = flags.DEFINE_string(
    "judge_answers", None, "Instead: answers.csv of a judge sheet, filled in, to score."
)
_CURVES = flags.DEFINE_list(
    "curves", None, "Instead: draw the losses and metrics of these runs' folders."
)

# What stands in the place of a report, and the other flags that it takes.
_INSTEAD = {
    "judge_sheet": ("checkpoint", "data_dir", "dataset", "classes", "seed"),
    "judge_answers": (),
    "curves": ("out",),
}


def _report(model, bank):
    from figr_jax import generation
    from figr_jax.evaluation import presentation, report

    options = report.Options(
        draws=_DRAWS.value,
        count=_COUNT.value,
        classes=_CLASSES.value,
        curve_classes=_CURVE_CLASSES.value,
        scratch=_SCRATCH.value,
        seed=_SEED.value,
        metrics=tuple(_METRICS.value or presentation.METRICS),
    )
    joint = generation.load(_JOINT.value, "--joint") if _JOINT.value else None
    out = _folder(_CHECKPOINT.value)
    print(presentation.write_table(report.make(model, bank, out, options, joint)))
    print(f"wrote {out}/report.md")


def _folder(path):
    """Where to write: beside what is measured, where the studio finds it too."""
    is_run = pathlib.Path(path, "snapshots").is_dir() or _CURVES.value
    name = f"report_{_DATASET.value}" if _DATASET.value else "report"
    return _OUT.value or (f"{path}/{name}" if is_run else name)


def main():
    """Does what the flags ask for."""
    mine = flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])
    for other, used in _INSTEAD.items():
        if flags.FLAGS[other].present:
            unused = [flag.name for flag in mine if flag.name not in (other, *used)]
            errors.refuse(unused, f"is not for --{other}; leave it out")
    # Slow to import, so after the flags are checked.
    if _CURVES.value:
        from figr_jax.evaluation import curves

        print(f"wrote {curves.draw(_CURVES.value, _folder(_CURVES.value[0]))}")
        return
    if _JUDGE_ANSWERS.value:
        from figr_jax.evaluation import human

        print(json.dumps(human.score(_JUDGE_ANSWERS.value), indent=2))
        return
    if _CHECKPOINT.value is None:
        raise errors.BadInput(
            "--checkpoint is missing: give a run's folder or the name of weights"
        )
    from figr_jax import compilation, generation
    from figr_jax.data import bank as banks
    from figr_jax.data import datasets
    from figr_jax.evaluation import human

    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    dataset = model.config.dataset
    if dataset.name == "none":
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: imported weights have no data set to "
            "be measured on"
        )
    size = dataset.image_size, dataset.channels
    name = _DATASET.value or dataset.name
    if name not in (dataset.name, *datasets.parts(dataset.name)):
        raise errors.BadInput(
            f"--dataset={name}: the checkpoint was trained on {dataset.name}"
        )
    bank = banks.load(name, *size, _DATA_DIR.value)
    if _JUDGE_SHEET.value:
        out, seed = _JUDGE_SHEET.value, _SEED.value
        count = human.make_sheet(model, bank, out, _CLASSES.value, seed)
        print(f"wrote {count} images; answer in {out}/answers.csv, real or generated")
    else:
        _report(model, bank)


if __name__ == "__main__":
    errors.run(main)
