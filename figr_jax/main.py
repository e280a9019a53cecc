"""Meta-trains a model. Rerun the command to resume.

python -m figr_jax.main --config=configs/quickstart.py --workdir=runs/quickstart
"""

import os
import pathlib
import sys

import jax
from absl import flags
from ml_collections import config_flags

from figr_jax import config_files
from figr_jax.common import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    config_flags.DEFINE_config_file(
        "config",
        help_string="A file, or a name in configs/; --config.SECTION.FIELD=VALUE "
        "overrides.",
    )
    command.define_path(
        "workdir", None, "Folder of the run; by default runs/<config name>."
    )
    command.define_path(
        "data_dir", None, "Folder of prepared data sets; by default that of TFDS."
    )
    flags.DEFINE_boolean(
        "distributed",
        False,
        "Join the other processes of this Slurm, Open MPI, Kubernetes or TPU pod job.",
    )


def _join():
    try:
        jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        raise errors.BadInput(
            "--distributed: no distributed job found, or some processes did not join "
            f"({error}); start them with Slurm, Open MPI, Kubernetes or on a TPU pod"
        ) from error
    if jax.process_index():  # only the first one prints
        sys.stdout = open(os.devnull, "w")


def main():
    """Checks the flags, then trains."""
    if FLAGS.config is None:
        raise errors.BadInput(
            "--config is missing: give a file, or one of "
            + ", ".join(sorted(config_files.find()))
        )
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = FLAGS.workdir or f"runs/{pathlib.Path(name).stem}"

    # Slow to import, so after the flags are checked.
    from figr_jax import training
    from figr_jax.common import compilation

    compilation.keep_programs()
    if FLAGS.distributed:
        _join()
    training.train(FLAGS.config, workdir, FLAGS.data_dir)


if __name__ == "__main__":
    define_flags()
    command.run(main)
