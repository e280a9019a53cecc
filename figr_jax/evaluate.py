"""Measures a checkpoint on its held-out classes.

python -m figr_jax.evaluate --checkpoint=runs/quickstart
python -m figr_jax.evaluate --checkpoint=omniglot-32 --checkpoint=sketch-32 \
  --dataset=omniglot
python -m figr_jax.evaluate --checkpoint=omniglot-32 --plane=plane
python -m figr_jax.evaluate --checkpoint=runs/quickstart --judge_sheet=judge
python -m figr_jax.evaluate --judge_answers=judge/answers.csv
python -m figr_jax.evaluate --curves=runs/quickstart,runs/another --out=report
"""

import json
import pathlib
import sys

from absl import flags

from figr_jax.common import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    command.define_paths(
        "checkpoint",
        "A run's folder (its newest good snapshot), one snapshot, or shipped weights. "
        "Several are compared.",
    )
    command.define_path(
        "out",
        None,
        "Folder for the report, the comparison or the curves; by default `report` in "
        "the run's folder, of shipped weights `report`, of several `comparison`.",
    )
    command.define_path(
        "data_dir", None, "Folder of prepared data sets; by default that of TFDS."
    )
    flags.DEFINE_string(
        "dataset",
        None,
        "Data set to measure, one of the mix that the model was trained on.",
    )
    flags.DEFINE_integer("draws", 3, "Supports for each class.", lower_bound=1)
    flags.DEFINE_integer("count", 64, "Images of each class.", lower_bound=16)
    flags.DEFINE_integer(
        "classes",
        0,
        "Number of report classes, chosen by seed; 0: all.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "curve_classes", 20, "Classes in the curves; 0: no curves.", lower_bound=0
    )
    flags.DEFINE_integer(
        "scratch", 2, "Classes for which a GAN is trained from scratch.", lower_bound=0
    )
    flags.DEFINE_list("metrics", None, "Metrics of the table; by default all.")
    command.define_path(
        "joint", None, "Another checkpoint, trained with --config.inner.steps=1."
    )
    flags.DEFINE_integer(
        "seed", 0, "Seed of every random draw.", lower_bound=0, upper_bound=2**31 - 1
    )
    _define_alternatives()


def _define_alternatives():
    """Defines the flags that replace a report."""
    command.define_path(
        "plane",
        None,
        "Instead of a report: folder for the protocol of Boutin et al. (2022), from 1 "
        "and 4 exemplars.",
    )
    command.define_path(
        "judge_sheet",
        None,
        "Instead of a report: write real and generated images to this folder.",
    )
    command.define_path(
        "judge_answers",
        None,
        "Instead of a report: score this filled-in answers.csv of a judge sheet.",
    )
    flags.DEFINE_list(
        "curves",
        None,
        "Instead of a report: plot the losses and metrics of these run folders.",
    )


# Flags that replace a report, and the other flags that each accepts.
_INSTEAD = {
    "plane": ("checkpoint", "data_dir", "dataset", "classes", "seed"),
    "judge_sheet": ("checkpoint", "data_dir", "dataset", "classes", "seed"),
    "judge_answers": (),
    "curves": ("out",),
}


def _options():
    from figr_jax.evaluation import measurement, presentation

    return measurement.Options(
        draws=FLAGS.draws,
        count=FLAGS.count,
        classes=FLAGS.classes,
        curve_classes=FLAGS.curve_classes,
        scratch=FLAGS.scratch,
        seed=FLAGS.seed,
        metrics=tuple(FLAGS.metrics or presentation.METRICS),
    )


def _report(model, bank):
    from figr_jax import generation
    from figr_jax.evaluation import presentation, report

    joint = generation.load(FLAGS.joint, "--joint") if FLAGS.joint else None
    out = _folder(FLAGS.checkpoint[0])
    print(presentation.write_table(report.make(model, bank, out, _options(), joint)))
    print(f"wrote {out}/report.md")


def _place(model, bank):
    from figr_jax.evaluation import plane

    out = pathlib.Path(FLAGS.plane)
    result = plane.measure(model, bank, out, _options())
    for name, row in result["rows"].items():
        right, diversity = row["recognizability"]["mean"], row["diversity"]["mean"]
        print(f"{name}: recognized {right:.1%}, {diversity:.2f} times as diverse")
    print(f"wrote {out}/plane.png and .json")


def _compare(models, bank):
    from figr_jax.evaluation import comparison

    out = FLAGS.out or "comparison"
    comparison.make(models, bank, out, _options())
    print(pathlib.Path(out, "comparison.md").read_text())
    print(f"wrote {out}/comparison.md")


def _folder(path):
    """Returns the output folder: in the run's folder, where the studio finds it."""
    is_run = pathlib.Path(path, "snapshots").is_dir() or FLAGS.curves
    dataset = FLAGS.dataset and FLAGS.dataset.replace("/", "-")
    name = f"report_{dataset}" if dataset else "report"
    return FLAGS.out or (f"{path}/{name}" if is_run else name)


def _find_dataset(models):
    """Returns the name of the data set to measure: one that every model knows.

    Args:
      models: dict: path to `generation.FewShotGenerator`.

    Raises:
      BadInput: if there is none, or a mix leaves open which one.
    """
    from figr_jax.data import datasets

    known = {}
    for path, model in models.items():
        known[path] = datasets.parts(model.config.dataset.name)
        if known[path] == ["none"]:
            raise errors.BadInput(
                f"--checkpoint={path}: imported weights have no data set to measure "
                "them on"
            )
    first, *others = known.values()
    shared = [name for name in first if all(name in names for names in others)]
    trained = "; ".join(f"{path} on {', '.join(x)}" for path, x in known.items())
    if FLAGS.dataset is None and len(shared) == 1:
        return shared[0]
    if FLAGS.dataset in shared:
        return FLAGS.dataset
    if not shared:
        raise errors.BadInput(f"--checkpoint: trained on no common data set: {trained}")
    flag = f"--dataset={FLAGS.dataset}" if FLAGS.dataset else "--dataset is missing"
    raise errors.BadInput(f"{flag}: must be {' or '.join(shared)}; trained: {trained}")


def main():
    """Runs the measurement that the flags ask for."""
    mine = flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])
    for other, used in _INSTEAD.items():
        if flags.FLAGS[other].present:
            unused = [flag.name for flag in mine if flag.name not in (other, *used)]
            command.refuse(unused, f"is not for --{other}; leave it out")
    # Slow to import, so after the flags are checked.
    if FLAGS.curves:
        from figr_jax.evaluation import curves

        print(f"wrote {curves.plot(FLAGS.curves, _folder(FLAGS.curves[0]))}")
        return
    if FLAGS.judge_answers:
        from figr_jax.evaluation import human

        print(json.dumps(human.score(FLAGS.judge_answers), indent=2))
        return
    if not FLAGS.checkpoint:
        raise errors.BadInput(
            "--checkpoint is missing: give a run's folder or the name of weights"
        )
    from figr_jax import generation
    from figr_jax.common import compilation
    from figr_jax.data import bank as banks
    from figr_jax.evaluation import human

    paths = FLAGS.checkpoint
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise errors.BadInput(f"--checkpoint={twice[0]}: is given twice")
    if len(paths) > 1:
        command.refuse(
            ("plane", "judge_sheet", "joint", "curve_classes", "scratch"),
            "is for one --checkpoint; leave it out",
        )
    compilation.keep_programs()
    models = {path: generation.load(path) for path in paths}
    model, name = models[paths[0]], _find_dataset(models)
    size = model.config.dataset.image_size, model.config.dataset.channels
    bank = banks.load(name, *size, FLAGS.data_dir)
    if len(models) > 1:
        _compare(models, bank)
    elif FLAGS.plane:
        _place(model, bank)
    elif FLAGS.judge_sheet:
        out, seed = FLAGS.judge_sheet, FLAGS.seed
        count = human.make_sheet(model, bank, out, FLAGS.classes, seed)
        print(f"wrote {count} images; answer in {out}/answers.csv, real or generated")
    else:
        _report(model, bank)


if __name__ == "__main__":
    define_flags()
    command.run(main)
