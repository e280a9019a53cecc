"""Episodes: a class, and a support drawn from it without replacement.

All draws of a meta-step derive from the seed and its number.
"""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


def keys(seed, step):
    """Derives the keys of a meta-step: for its episodes, and for adaptation.

    So resuming needs no generator state, and a run may be cut into any blocks.
    """
    return jax.random.split(jax.random.fold_in(jax.random.key(seed), step))


def large_enough(bank, classes, shots):
    """Returns the classes that have at least `shots` images, `[<= classes]`."""
    return classes[np.diff(bank.class_start)[classes] >= shots]


def draw_support(key, count, shots):
    """Draws `shots` different numbers below `count`, every subset equally likely.

    Robert Floyd's algorithm: its work does not depend on `count`.

    Args:
      key: PRNG key.
      count: scalar, at least `shots`.
      shots: how many numbers to draw.

    Returns:
      `[shots]` int32.
    """
    last = count - shots + jnp.arange(shots)
    picks = jax.random.randint(key, (shots,), 0, last + 1)

    def place(i, chosen):
        taken = jnp.any(chosen == picks[i])
        return chosen.at[i].set(jnp.where(taken, last[i], picks[i]))

    # Not jnp.full: inside a shard_map this must vary between devices, like picks.
    return lax.fori_loop(0, shots, place, 0 * picks - 1)


def draw_others(key, count, support, others):
    """Draws `others` numbers below `count` that are not in the support.

    They are drawn without replacement if the class has enough images, otherwise with
    replacement. If the support is the whole class, they are drawn from the support.

    Args:
      key: PRNG key.
      count: scalar, at least `len(support)`.
      support: `[shots]` int32, different numbers below `count`.
      others: how many numbers to draw.

    Returns:
      `[others]` int32.
    """
    left = count - len(support)
    different = draw_support(key, jnp.maximum(left, others), others)
    repeated = jax.random.randint(key, (others,), 0, jnp.maximum(left, 1))
    chosen = jnp.where(left >= others, different, repeated)
    # The k-th number that is not in the support: step over those that are.
    for taken in jnp.sort(support):
        chosen = chosen + (chosen >= taken)
    again = support[jax.random.randint(key, (others,), 0, len(support))]
    return jnp.where(left > 0, chosen, again)


def first_classes(bank, classes):
    """Finds where each data set of a mix begins in `classes`.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` ascending class indices.

    Returns:
      `[data sets]` int32, without those that have no class; `[0]` for a single one.
    """
    here = np.asarray(bank.sets)[classes]
    return np.flatnonzero(np.append(True, here[1:] != here[:-1])).astype(np.int32)


def draw(key, class_start, classes, first, tasks, shots, others=0):
    """Draws the episodes of a meta-step; the data sets of a mix are equally likely.

    Args:
      key: PRNG key; each task folds in its number.
      class_start: `[classes + 1]` int32, first image of each class.
      classes: `[allowed]` int32, the classes to draw from.
      first: `[data sets]` int32, see `first_classes`.
      tasks: `[tasks]` numbers of the tasks; any process may draw any of them.
      shots: number of support images in each.
      others: number of further images of the class in each, see `draw_others`.

    Returns:
      `[tasks, shots + others]` int32, indices of images.
    """

    def episode(task):
        class_key, support_key = jax.random.split(jax.random.fold_in(key, task))
        chosen = classes[_draw_class(class_key, len(classes), first)]
        start, end = class_start[chosen], class_start[chosen + 1]
        support = draw_support(support_key, end - start, shots)
        if not others:
            return start + support
        others_key = jax.random.fold_in(support_key, 1)
        further = draw_others(others_key, end - start, support, others)
        return start + jnp.concatenate([support, further])

    return jax.vmap(episode)(tasks)


def _draw_class(key, count, first):
    """Draws a data set, then one of its classes: a number below `count`."""
    if len(first) == 1:
        return jax.random.randint(key, (), 0, count)
    dataset = jax.random.randint(jax.random.fold_in(key, 1), (), 0, len(first))
    ends = jnp.append(first[1:], count)
    return jax.random.randint(key, (), first[dataset], ends[dataset])


def support(bank, index, shots, seed):
    """Draws a support of one class, for sampling.

    Args:
      bank: `bank.Bank`.
      index: the class.
      shots: number of support images, at most as many as the class has.
      seed: seed of the draw.

    Returns:
      `[shots, H, W, C]` uint8.
    """
    # 2, since adaptation with the same seed folds in 0.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), index)
    class_images = bank.class_images(index)
    return class_images[np.asarray(_draw_support(key, len(class_images), shots))]


# Jitted once: otherwise each call would compile its loop again and cache it.
_draw_support = jax.jit(draw_support, static_argnums=2)
