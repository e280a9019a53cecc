"""The split of a run, and the info record that travels with its checkpoints."""

from figr_jax import recipe
from figr_jax.common import provenance
from figr_jax.common.errors import BadInput, say
from figr_jax.data import datasets, episodes, splits, styles
from figr_jax.training.sample_grid import spread

EXAMPLES = 12  # held-out classes with images in the snapshot
EXAMPLES_OF_CLASS = 12  # maximum images of each


def choose_split(cfg, bank, start):
    """Returns the split of a run: the stored one, or one chosen as the config says.

    If the weights of `run.init_from` were trained on the same data set, their held-out
    classes are held out again: they have seen all others.

    Args:
      cfg: the run's config.
      bank: `bank.Bank`.
      start: `start.Start`.

    Returns:
      A `splits.Split`.

    Raises:
      BadInput: if the prepared data set has another version than the run's.
    """
    if start.info:
        return splits.Split(**start.info["split"]).of_bank(bank)
    sizes = cfg.dataset
    split = splits.choose(bank, sizes.split, sizes.heldout, sizes.split_seed)
    if not start.split:
        return split
    theirs = splits.Split(**start.split)
    shared = {*datasets.parts(theirs.dataset)} & {*datasets.parts(bank.dataset)}
    dataset = dict(zip(bank.names, bank.sets, strict=True))
    ours = [name for name in split.heldout if dataset[name] not in shared]
    kept = [name for name in theirs.heldout if dataset.get(name) in shared]
    split = split._replace(heldout=(*ours, *kept))
    return split._replace(report=splits.choose_report(bank, split))


def large_enough(cfg, bank, classes):
    """Returns the classes that have enough images for a support."""
    shots = cfg.inner.shots
    allowed = episodes.large_enough(bank, classes, shots)
    if not len(allowed):
        raise BadInput(
            f"--config.inner.shots={shots}: no class of {bank.dataset} has {shots} "
            "images"
        )
    if len(allowed) < len(classes):
        left_out = len(classes) - len(allowed)
        say(f"{left_out} classes have fewer than {shots} images and are left out")
    wanted = shots + cfg.inner.others
    few = len(allowed) - len(episodes.large_enough(bank, allowed, wanted))
    if few:
        say(
            f"{few} classes have fewer than {wanted} images: their {cfg.inner.others} "
            "others are drawn with replacement"
        )
    return allowed


def make_info(cfg, bank, split, start):
    """Returns the info record, which lets a snapshot be used without its data set.

    Args:
      cfg: the run's config.
      bank: `bank.Bank`.
      split: `splits.Split`.
      start: `start.Start`.
    """
    _, heldout = split.indices(bank.names)
    # Each resume starts a session: it may be on another machine.
    before = start.info.get("sessions", []) if start.info else []
    session = {"from_step": int(start.state.step), **provenance.describe()}
    style = styles.measure(bank.images[:: len(bank.images) // 1000 + 1])
    return {
        "config": cfg.to_dict(),
        "split": split._asdict(),
        "background": style.background,  # for earlier versions
        "style": style,
        "examples": _choose_examples(bank, heldout, cfg.inner.shots),
        "licence": bank.licence,
        "sessions": [*before, session],
    }


def _choose_examples(bank, heldout, shots):
    """Returns images of a few held-out classes: class name to PNG files in base64.

    Returns none for data sets whose licence may forbid it, such as private folders.
    """
    if not set(datasets.parts(bank.dataset)) <= set(datasets.SHAREABLE):
        return {}
    chosen = spread(episodes.large_enough(bank, heldout, shots), EXAMPLES)
    return {
        bank.names[index]: [
            recipe.encode(image)
            for image in bank.class_images(index)[:EXAMPLES_OF_CLASS]
        ]
        for index in chosen
    }
