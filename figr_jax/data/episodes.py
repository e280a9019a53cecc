"""Episodes: a class, and a support drawn from it without replacement.

All draws of a meta-step derive from the seed and its number. A bank that fits lies on
the device, and episodes are drawn there; from one that does not, they are drawn and
gathered on the host while the device works. Both give the same episodes.
"""

import collections
import concurrent.futures
import contextlib
import functools
from typing import NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from figr_jax import memory

DEVICE_SHARE = 0.25  # of a device's memory: what a bank may take of it
_AHEAD = 2  # blocks gathered ahead of the device


class Resident(NamedTuple):
    """A bank on the device, and the classes that episodes may come from."""

    images: jax.Array  # shape=(images, H, W, C), uint8, sorted by class
    class_start: jax.Array  # shape=(classes + 1,), int32
    classes: jax.Array  # shape=(allowed,), int32
    first: jax.Array  # shape=(data sets,), int32, see `first_classes`

    def draw(self, key, _, tasks, shots, others):
        """Draws episodes of a meta-step: `[tasks, shots + others, H, W, C]` uint8."""
        return self.images[draw(key, *self[1:], tasks, shots, others)]

    def spec(self, axis):
        """Returns its sharding: a full copy on each device."""
        del axis
        return Resident(P(), P(), P(), P())


class Streamed(NamedTuple):
    """Episodes of a block of meta-steps, gathered on the host."""

    images: jax.Array  # shape=(meta-steps, tasks, shots + others, H, W, C), uint8

    def draw(self, _key, i, _tasks, _shots, _others):
        """Returns the episodes of the block's meta-step i, see `Bank`."""
        return self.images[i]

    def spec(self, axis):
        """Returns its sharding: each device has its own tasks."""
        return Streamed(P(None, axis))


def keys(seed, step):
    """Derives the keys of a meta-step: for its episodes, and for adaptation.

    Resuming needs no state of a generator, and a run may be cut into any blocks.
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
      shots: how many.

    Returns:
      `[shots]` int32.
    """
    last = count - shots + jnp.arange(shots)
    picks = jax.random.randint(key, (shots,), 0, last + 1)

    def place(i, chosen):
        taken = jnp.any(chosen == picks[i])
        return chosen.at[i].set(jnp.where(taken, last[i], picks[i]))

    # Not jnp.full: inside a shard_map this must differ between devices as picks do.
    return lax.fori_loop(0, shots, place, 0 * picks - 1)


def draw_others(key, count, support, others):
    """Draws `others` numbers below `count` that are not in the support.

    They differ from each other if there are that many; otherwise they are drawn with
    replacement, and where the support is the whole class, from the support.

    Args:
      key: PRNG key.
      count: scalar, at least `len(support)`.
      support: `[shots]` int32, different numbers below `count`.
      others: how many.

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
      `[data sets]` int32, without data sets that have no class; `[0]` if there is one.
    """
    names = np.asarray(bank.attributes.get("dataset", [bank.dataset] * len(bank.names)))
    here = names[classes]
    return np.flatnonzero(np.append(True, here[1:] != here[:-1])).astype(np.int32)


def draw(key, class_start, classes, first, tasks, shots, others=0):
    """Draws the episodes of a meta-step: of a mix, as many from each data set.

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


def fits(bank, device):
    """Returns whether a bank takes at most `DEVICE_SHARE` of a device's memory."""
    return bank.images.nbytes <= DEVICE_SHARE * memory.of_device(device)


def put_everywhere(tree, mesh):
    """Puts a pytree, the same in every process, on each device of a mesh."""
    everywhere = NamedSharding(mesh, P())
    # Not jax.device_put, which would compare what all processes have.
    place = functools.partial(jax.make_array_from_process_local_data, everywhere)
    return jax.tree.map(lambda x: place(np.asarray(x)), tree)


def put(bank, classes, mesh):
    """Puts a bank on each device of a mesh: a `Resident`.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` indices of the classes that episodes may come from.
      mesh: `jax.sharding.Mesh`.
    """
    start, classes = (np.asarray(x, np.int32) for x in (bank.class_start, classes))
    first = first_classes(bank, classes)
    return put_everywhere(Resident(bank.images, start, classes, first), mesh)


def gather(bank, classes, seed, steps, tasks, shots, others=0):
    """Gathers the episodes of some meta-steps on the host.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` int32 indices of the classes to draw from.
      seed: of the run.
      steps: `[meta-steps]` their numbers.
      tasks: `[tasks]` numbers of the tasks.
      shots: number of support images in each.
      others: number of further images of the class in each.

    Returns:
      `[meta-steps, tasks, shots + others, H, W, C]` uint8.
    """
    with jax.default_device(_host()):
        start = jnp.asarray(bank.class_start, jnp.int32)
        source = start, classes, first_classes(bank, classes)
        chosen = _draw_steps(seed, np.asarray(steps), source, tasks, shots, others)
    return bank.images[np.asarray(chosen)]


def _host():
    """Returns the CPU as a device of jax; None, the default device, without one."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS may leave it out
        return None


@functools.partial(jax.jit, static_argnames=("shots", "others"))
def _draw_steps(seed, steps, source, tasks, shots, others):
    def one(step):
        key, _ = keys(seed, step)
        return draw(key, *source, tasks, shots, others)

    return jax.vmap(one)(steps)


@contextlib.contextmanager
def stream(bank, classes, mesh, seed, blocks, size, tasks, shots, others=0):
    """Gathers blocks of meta-steps in a thread, ahead of the device.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` indices of the classes to draw from.
      mesh: `jax.sharding.Mesh` of the devices that share the tasks.
      seed: of the run.
      blocks: iterable of the first meta-step of each block.
      size: meta-steps per block; a shorter last block ignores the surplus.
      tasks: number of tasks in a meta-step.
      shots: number of support images in each.
      others: number of further images of the class in each.

    Yields:
      An iterator of `Streamed`, one a block.
    """
    sharding = NamedSharding(mesh, P(None, *mesh.axis_names))
    here = [d.process_index == jax.process_index() for d in mesh.devices.flat]
    numbers = np.arange(tasks).reshape(mesh.size, -1)[here].ravel()  # of our tasks

    def one(first):
        steps = first + np.arange(size)
        images = gather(bank, classes, seed, steps, numbers, shots, others)
        return jax.make_array_from_process_local_data(sharding, images)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def ahead():
            waiting = collections.deque()
            for first in blocks:
                waiting.append(pool.submit(one, first))
                if len(waiting) > _AHEAD:
                    yield Streamed(waiting.popleft().result())
            while waiting:
                yield Streamed(waiting.popleft().result())

        try:
            yield ahead()
        finally:
            pool.shutdown(cancel_futures=True)


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
    # Adaptation of the same seed has the key 0.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), index)
    class_images = bank.class_images(index)
    return class_images[np.asarray(_draw_support(key, len(class_images), shots))]


# Else each call would compile its loop anew, and keep it.
_draw_support = jax.jit(draw_support, static_argnums=2)
