"""Episodes: a class, and a support drawn from it without replacement."""

from typing import NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


class Source(NamedTuple):
    """What episodes are drawn from: a bank on the device and the classes allowed."""

    images: jax.Array  # shape=(images, H, W, C), uint8, sorted by class
    class_start: jax.Array  # shape=(classes + 1,), int32
    classes: jax.Array  # shape=(allowed,), int32


def source(bank, classes):
    """Puts a bank on the device, with the classes that episodes may come from.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` indices of classes.

    Returns:
      A `Source`.
    """
    return Source(
        jnp.asarray(bank.images),
        jnp.asarray(bank.class_start, jnp.int32),
        jnp.asarray(classes, jnp.int32),
    )


def large_enough(bank, classes, shots):
    """Those of the classes that have at least `shots` images, `[<= classes]`."""
    return classes[np.diff(bank.class_start)[classes] >= shots]


def draw_support(key, count, shots):
    """Draws `shots` different numbers below `count`, every subset equally likely.

    Robert Floyd's algorithm: its work does not depend on `count`.

    Args:
      key: PRNG key.
      count: scalar, at least `shots`.
      shots: how many.

    Returns:
      `[shots]` int32.
    """
    last = count - shots + jnp.arange(shots)
    picks = jax.random.randint(key, (shots,), 0, last + 1)

    def place(i, chosen):
        taken = jnp.any(chosen == picks[i])
        return chosen.at[i].set(jnp.where(taken, last[i], picks[i]))

    return lax.fori_loop(0, shots, place, jnp.full(shots, -1, picks.dtype))


def draw(key, class_start, classes, tasks, shots):
    """Draws the episodes of a meta-step.

    Args:
      key: PRNG key; each task folds in its index.
      class_start: `[classes + 1]` int32, first image of each class.
      classes: `[allowed]` int32, the classes to draw from.
      tasks: number of episodes.
      shots: number of support images in each.

    Returns:
      `[tasks, shots]` int32, indices of images.
    """

    def episode(task):
        class_key, support_key = jax.random.split(jax.random.fold_in(key, task))
        chosen = classes[jax.random.randint(class_key, (), 0, len(classes))]
        start, end = class_start[chosen], class_start[chosen + 1]
        return start + draw_support(support_key, end - start, shots)

    return jax.vmap(episode)(jnp.arange(tasks))


def support(bank, index, shots, seed):
    """Draws a support of one class, for sampling.

    Args:
      bank: `bank.Bank`.
      index: the class.
      shots: number of support images, at most as many as the class has.
      seed: of the draw.

    Returns:
      `[shots, H, W, C]` uint8.
    """
    # Adaptation and latents of the same seed have the keys 0 and 1.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), index)
    class_images = bank.class_images(index)
    return class_images[np.asarray(draw_support(key, len(class_images), shots))]
