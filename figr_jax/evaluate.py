"""Measures a checkpoint on its held-out classes.

python -m figr_jax.evaluate --checkpoint=runs/quickstart --out=report
"""

import pathlib

from absl import flags

from figr_jax import errors

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder (its newest good snapshot) or one snapshot."
)
_OUT = flags.DEFINE_string("out", "report", "Folder for the report.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared data sets live; by default that of TFDS."
)
_DRAWS = flags.DEFINE_integer("draws", 3, "Supports for each class.", lower_bound=1)
_COUNT = flags.DEFINE_integer("count", 64, "Images of each class.", lower_bound=16)
_CLASSES = flags.DEFINE_integer(
    "classes", 0, "Judge that many held-out classes, chosen by seed; 0: all."
)
_CURVE_CLASSES = flags.DEFINE_integer(
    "curve_classes", 20, "Classes of the curves; 0: no curves.", lower_bound=0
)
_SCRATCH = flags.DEFINE_integer(
    "scratch", 2, "Classes for which a GAN is trained from scratch.", lower_bound=0
)
_JOINT = flags.DEFINE_string(
    "joint", None, "Another checkpoint, trained with --config.inner.steps=1."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of every random draw.", lower_bound=0, upper_bound=2**31 - 1
)


def main(argv):
    """Loads, measures, writes."""
    if argv:
        raise errors.BadInput(f"unexpected argument {argv[0]!r}")
    if _CHECKPOINT.value is None:
        raise errors.BadInput("--checkpoint is missing: give a run's folder")
    # Slow to import, so after the flags are checked.
    from figr_jax import compilation, files, generation
    from figr_jax.data import bank as banks
    from figr_jax.evaluation import report

    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    joint = generation.load(_JOINT.value) if _JOINT.value else None
    dataset = model.config.dataset
    if dataset.name == "none":
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: imported weights have no data set to "
            "be measured on"
        )
    bank = banks.load(
        dataset.name, dataset.image_size, dataset.channels, _DATA_DIR.value
    )
    out = files.make_folder(_OUT.value, "--out")
    options = report.Options(
        draws=_DRAWS.value,
        count=_COUNT.value,
        classes=_CLASSES.value,
        curve_classes=_CURVE_CLASSES.value,
        scratch=_SCRATCH.value,
        seed=_SEED.value,
    )
    result = report.make(model, bank, pathlib.Path(out), options, joint)
    print(report.write_table(result))
    print(f"wrote {out / 'report.md'}")


if __name__ == "__main__":
    errors.run(main)
