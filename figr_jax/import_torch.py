"""Brings weights of the code published with the paper into a snapshot.

python -m figr_jax.import_torch --checkpoint=FILE --out=DIR
"""

import pickle

from absl import flags

from figr_jax import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    command.define_path("checkpoint", None, "File of the published code.")
    command.define_path("out", None, "Folder for the snapshot, as a run's folder.")
    flags.DEFINE_float(
        "learning_rate",
        1e-3,
        "Inner learning rate it was trained with, which the file does not tell.",
        lower_bound=1e-9,
    )
    flags.DEFINE_integer(
        "background",
        255,
        "Grey of the background it was trained on: 0 for MNIST.",
        lower_bound=0,
        upper_bound=255,
    )


def _read(path):
    """Generator and critic as dicts of arrays, and the meta-steps done."""
    try:
        import torch
    except ImportError as error:
        raise errors.BadInput(
            "reading PyTorch files needs `pip install -e '.[torch]'`"
        ) from error
    try:
        file = torch.load(path, map_location="cpu", weights_only=True)
        states = [
            {name: tensor.float().numpy() for name, tensor in file[part].items()}
            for part in ("generator", "discriminator")
        ]
        return *states, int(file["episode"])
    except (
        OSError,
        EOFError,
        RuntimeError,
        pickle.UnpicklingError,
        *(KeyError, TypeError, AttributeError, ValueError, IndexError),
    ) as error:
        raise errors.BadInput(
            f"--checkpoint={path}: cannot be read; wanted is a PyTorch file of a dict "
            "of tensors and numbers alone, with generator, discriminator and episode"
        ) from error


def main():
    """Reads the file, writes the snapshot."""
    if FLAGS.checkpoint is None or FLAGS.out is None:
        raise errors.BadInput("give --checkpoint=FILE and --out=DIR")
    from figr_jax import checkpoints, config, files  # slow to import: after the flags
    from figr_jax.data import splits
    from figr_jax.networks import published

    generator, critic, step = _read(FLAGS.checkpoint)
    try:
        slow, found = published.to_params(generator, critic)
    except (KeyError, ValueError, IndexError) as error:
        raise errors.BadInput(
            f"--checkpoint={FLAGS.checkpoint}: not a generator and critic of the "
            f"published code ({error})"
        ) from error
    cfg = config.default()
    cfg.dataset.update(
        name="none", image_size=found.image_size, channels=found.channels, heldout=0
    )
    cfg.networks.update(
        family=found.family, width=found.width, stages=found.stages, latent=found.latent
    )
    # What the published code does unless told otherwise; the file does not say.
    cfg.inner.update(
        shots=4, loss="wgan_gp_published", learning_rate=FLAGS.learning_rate
    )
    config.validate(cfg)
    info = {
        "config": cfg.to_dict(),
        "split": splits.Split("none", "", ())._asdict(),
        "background": float(FLAGS.background),
    }
    checkpoints.check_path(FLAGS.out, "--out")
    out = files.make_folder(FLAGS.out, "--out")
    checkpoints.save_snapshot(out, step, slow, info)
    print(
        f"found {found.family} of width {found.width}, {found.stages} stages, "
        f"{found.image_size} pixels, {found.channels} channels"
    )
    print(f"wrote {out / 'snapshots' / str(step)}")


if __name__ == "__main__":
    define_flags()
    command.run(main)
