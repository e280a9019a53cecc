"""Prepares a data set once: downloads or finds it, checks it, builds its bank.

python -m figr_jax.prepare --dataset=omniglot --manual_dir=FOLDER --report=FOLDER
"""

import numpy as np
from absl import flags

from figr_jax.common import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    flags.DEFINE_string("dataset", None, "Name of the data set.")
    command.define_path(
        "data_dir", None, "Folder of prepared data sets; by default that of TFDS."
    )
    command.define_path(
        "manual_dir",
        None,
        "Folder of the original files; by default they are downloaded.",
    )
    flags.DEFINE_integer("image_size", 32, "Height and width, pixels.")
    flags.DEFINE_integer("channels", 1, "1 for grey, 3 for colour.")
    command.define_path(
        "report", None, "Folder for pictures and counts of the data set."
    )


def main():
    """Checks the flags, then prepares."""
    from figr_jax.common import files, outputs
    from figr_jax.data import bank as banks
    from figr_jax.data import datasets, images, report

    if not FLAGS.dataset:
        raise errors.BadInput(f"--dataset is missing: must be {datasets.ALLOWED}")
    if not datasets.is_name(FLAGS.dataset):
        raise errors.BadInput(f"--dataset={FLAGS.dataset}: must be {datasets.ALLOWED}")
    size, channels = FLAGS.image_size, FLAGS.channels
    if not images.is_size(size):
        raise errors.BadInput(f"--image_size={size}: must be {images.ALLOWED_SIZE}")
    if channels not in (1, 3):
        raise errors.BadInput(f"--channels={channels}: must be 1 or 3")
    if FLAGS.report and FLAGS.dataset.startswith("mix:"):
        raise errors.BadInput(
            "--report is for one data set; run it for each of the mix"
        )
    if FLAGS.dataset.startswith("mix:"):
        datasets.check_mix(FLAGS.dataset, FLAGS.data_dir)
    report_dir = FLAGS.report and files.make_folder(FLAGS.report, "--report")
    if report_dir:
        outputs.check(report_dir, report.FILES, "prepare", "--report")
    for name in datasets.parts(FLAGS.dataset):
        bank = banks.load(name, size, channels, FLAGS.data_dir, FLAGS.manual_dir)
        counts = np.diff(bank.class_start)
        counts = counts[counts > 0]  # a TFDS set may have a label without images
        print(
            f"{bank.dataset} {bank.version}: {len(bank.images):,} images of "
            f"{len(counts):,} classes, {counts.min():,} to "
            f"{counts.max():,} each; the bank has {bank.images.nbytes:,} bytes: "
            f"{bank.images.filename}"
        )
    if report_dir:
        builder = datasets.prepare(FLAGS.dataset, FLAGS.data_dir)
        rendered = report.render(bank, builder.info.metadata or {})
        outputs.write(report_dir, rendered, "prepare")
        print(f"wrote {report_dir}: figure1.png, figure2.png, counts.json")


if __name__ == "__main__":
    define_flags()
    command.run(main)
