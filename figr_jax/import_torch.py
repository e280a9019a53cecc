"""Converts weights of the code published with the paper to a snapshot.

python -m figr_jax.import_torch --checkpoint=FILE --out=DIR
"""

import pickle

from absl import flags

from figr_jax.common import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    command.define_path("checkpoint", None, "Checkpoint file of the published code.")
    command.define_path(
        "out", None, "Folder to write the snapshot to, like a run's folder."
    )
    flags.DEFINE_float(
        "learning_rate",
        1e-3,
        "Inner learning rate of its training, which the file does not store.",
        lower_bound=1e-9,
    )
    flags.DEFINE_integer(
        "background",
        255,
        "Grey level of the background of its training images: 0 for MNIST.",
        lower_bound=0,
        upper_bound=255,
    )


def _read(path):
    """Reads generator and critic as dicts of arrays, and the meta-steps done."""
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
            f"--checkpoint={path}: cannot be read; give a PyTorch file of a dict of "
            "tensors and numbers only, with generator, discriminator and episode"
        ) from error


def main():
    """Reads the file and writes the snapshot."""
    if FLAGS.checkpoint is None or FLAGS.out is None:
        raise errors.BadInput("give --checkpoint=FILE and --out=DIR")
    from figr_jax import checkpoints, config
    from figr_jax.common import files  # slow to import: after the flags
    from figr_jax.data import splits
    from figr_jax.networks import published

    generator, critic, step = _read(FLAGS.checkpoint)
    try:
        slow, nets = published.to_params(generator, critic)
    except (KeyError, ValueError, IndexError) as error:
        raise errors.BadInput(
            f"--checkpoint={FLAGS.checkpoint}: not a generator and critic of the "
            f"published code ({error})"
        ) from error
    cfg = config.default()
    cfg.dataset.update(
        name="none", image_size=nets.image_size, channels=nets.channels, heldout=0
    )
    cfg.networks.update(
        family=nets.family, width=nets.width, stages=nets.stages, latent=nets.latent
    )
    # Defaults of the published code; the file does not store these values.
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
        f"found {nets.family} of width {nets.width}, {nets.stages} stages, "
        f"{nets.image_size} pixels, {nets.channels} channels"
    )
    print(f"wrote {out / 'snapshots' / str(step)}")


if __name__ == "__main__":
    define_flags()
    command.run(main)
