"""Supports of held-out classes, and the real images that they are compared with."""

from typing import NamedTuple

import numpy as np

from figr_jax.common.errors import BadInput, say

EVALUATION_IMAGES = 5  # per class, besides the support: a prototype, two halves of 2
_ENOUGH_CLASSES = 20  # see `find_eligible`
_MOST = 64  # real images of a class in each half, at most


class Draw(NamedTuple):
    """One draw of supports, and the images that evaluate them.

    Attributes:
      supports: `[classes, shots, H, W, C]` uint8.
      prototypes: `[classes + distractors, H, W, C]` uint8, another real image of each
        class, then one of each further class that an image may be taken for.
      reference: for each class half of its other images, `[n, H, W, C]` uint8: what
        generated images are compared with. If a class has only 4 images besides the
        support, the prototype is also in `reference`.
      real: for each class the other half, `[m, H, W, C]` uint8: the control that shows
        how near to the reference anything can come.
      seed: seed of the draw, and of what is generated from its supports.
    """

    supports: np.ndarray
    prototypes: np.ndarray
    reference: list[np.ndarray]
    real: list[np.ndarray]
    seed: int = 0


def draw_supports(bank, classes, shots, seed, eligible=()):
    """Draws a support for each class.

    Args:
      bank: `bank.Bank`.
      classes: `[k]` class indices, as `find_eligible` returns.
      shots: support images n.
      seed: of the draw; the support of more shots begins with that of fewer.
      eligible: class indices; those not among `classes` give distractors.

    Returns:
      A `Draw`.
    """
    supports, prototypes, reference, real = [], [], [], []
    for index in classes:
        images = _shuffle(bank, index, seed)
        supports.append(images[:shots])
        prototypes.append(images[-1])
        others = images[shots:-1]
        if len(others) < EVALUATION_IMAGES - 1:
            others = np.roll(images[shots:], 1, axis=0)  # the prototype first
        reference.append(others[::2][:_MOST])
        real.append(others[1::2][:_MOST])
    for index in np.setdiff1d(eligible, classes):
        prototypes.append(_shuffle(bank, index, seed)[-1])
    return Draw(np.stack(supports), np.stack(prototypes), reference, real, seed)


def _shuffle(bank, index, seed):
    images = bank.class_images(index)
    return np.random.default_rng([seed, index]).permutation(images)


def find_eligible(bank, heldout, shots):
    """Finds the held-out classes that can be evaluated; prints how many cannot.

    A class can be evaluated if it has `EVALUATION_IMAGES` images that are not in the
    support. If fewer than 20 classes have so many, one less is enough; such a class
    also uses the prototype as a reference image, see `Draw`.

    Args:
      bank: `bank.Bank`.
      heldout: `[k]` class indices.
      shots: support images n.

    Returns:
      Class indices, sorted.

    Raises:
      BadInput: if there are fewer than 2.
    """
    counts = np.diff(bank.class_start)[heldout]
    is_scarce = np.sum(counts >= shots + EVALUATION_IMAGES) < _ENOUGH_CLASSES
    needed = EVALUATION_IMAGES - 1 if is_scarce else EVALUATION_IMAGES
    least = shots + needed
    enough = heldout[counts >= least]
    if len(enough) < 2:
        raise BadInput(
            f"{bank.dataset}: {len(enough)} held-out classes with at least {least} "
            f"images ({shots} to adapt to, {needed} to compare with); 2 are needed"
        )
    if len(enough) < len(heldout):
        say(
            f"{len(heldout) - len(enough)} held-out classes have fewer than {least} "
            f"images ({shots} to adapt to, {needed} to compare with) and are left out"
        )
    return np.sort(enough)


def choose(classes, count, seed):
    """Chooses some classes by seed, sorted; all if `count` is 0 or too many."""
    order = np.random.default_rng(seed).permutation(len(classes))
    return np.sort(classes[order[: count or None]])


def choose_classes(bank, split, kind, shots, count, seed):
    """Chooses the classes to measure.

    Args:
      bank: `bank.Bank`.
      split: `splits.Split`.
      kind: "report", "tuning" or "heldout", which is both.
      shots: support images n.
      count: number of classes; 0: all.
      seed: seed of the choice.

    Returns:
      Indices of the chosen classes, and of all held-out classes that can be evaluated;
      those that are not chosen give distractors. Both are sorted.

    Raises:
      BadInput: if fewer than 2 classes have enough images.
    """
    eligible = find_eligible(bank, split.indices(bank.names)[1], shots)
    classes = np.intersect1d(eligible, split.find(getattr(split, kind), bank.names))
    if len(classes) < 2:
        raise BadInput(
            f"{bank.dataset}: {len(classes)} {kind} classes with enough images; 2 are "
            "needed: train with more held-out classes (--config.dataset.heldout)"
        )
    return choose(classes, count, seed), eligible
