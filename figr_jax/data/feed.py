"""Feeds the episodes of meta-steps to the device.

A bank that fits is kept in device memory, and episodes are drawn there. Episodes of a
larger bank are drawn and gathered on the host while the device works. Both give the
same episodes.
"""

import collections
import concurrent.futures
import contextlib
import functools
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from figr_jax.common import memory
from figr_jax.data import episodes

DEVICE_SHARE = 0.25  # largest share of a device's memory that a bank may take
_AHEAD = 2  # blocks gathered ahead of the device


class Resident(NamedTuple):
    """A bank on the device, and the classes that episodes may come from."""

    images: jax.Array  # shape=(images, H, W, C), uint8, sorted by class
    class_start: jax.Array  # shape=(classes + 1,), int32
    classes: jax.Array  # shape=(allowed,), int32
    first: jax.Array  # shape=(data sets,), int32, see `episodes.first_classes`

    def draw(self, key, _, tasks, shots, others):
        """Draws episodes of a meta-step: `[tasks, shots + others, H, W, C]` uint8."""
        return self.images[episodes.draw(key, *self[1:], tasks, shots, others)]

    def spec(self, axis):
        """Returns its sharding: a full copy on each device."""
        del axis
        return Resident(P(), P(), P(), P())


class Streamed(NamedTuple):
    """Episodes of a block of meta-steps, gathered on the host."""

    images: jax.Array  # shape=(meta-steps, tasks, shots + others, H, W, C), uint8

    def draw(self, _key, i, _tasks, _shots, _others):
        """Returns the episodes of the block's meta-step i, see `Resident`."""
        return self.images[i]

    def spec(self, axis):
        """Returns its sharding: each device has its own tasks."""
        return Streamed(P(None, axis))


def fits(bank, device):
    """Returns whether a bank takes at most `DEVICE_SHARE` of a device's memory."""
    return bank.images.nbytes <= DEVICE_SHARE * memory.of_device(device)


def put_everywhere(tree, mesh):
    """Copies a pytree, the same in every process, to each device of a mesh."""
    everywhere = NamedSharding(mesh, P())
    # Not jax.device_put, which would compare the values of all processes.
    place = functools.partial(jax.make_array_from_process_local_data, everywhere)
    return jax.tree.map(lambda x: place(np.asarray(x)), tree)


def put(bank, classes, mesh):
    """Copies a bank to each device of a mesh and returns a `Resident`.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` indices of the classes that episodes may come from.
      mesh: `jax.sharding.Mesh`.
    """
    start, classes = (np.asarray(x, np.int32) for x in (bank.class_start, classes))
    first = episodes.first_classes(bank, classes)
    return put_everywhere(Resident(bank.images, start, classes, first), mesh)


def gather(bank, classes, seed, steps, tasks, shots, others=0):
    """Gathers the episodes of some meta-steps on the host.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` int32 indices of the classes to draw from.
      seed: seed of the run.
      steps: `[meta-steps]` numbers of the meta-steps.
      tasks: `[tasks]` numbers of the tasks.
      shots: number of support images in each.
      others: number of further images of the class in each.

    Returns:
      `[meta-steps, tasks, shots + others, H, W, C]` uint8.
    """
    with jax.default_device(_host()):
        start = jnp.asarray(bank.class_start, jnp.int32)
        source = start, classes, episodes.first_classes(bank, classes)
        chosen = _draw_steps(seed, np.asarray(steps), source, tasks, shots, others)
    return bank.images[np.asarray(chosen)]


def _host():
    """Returns jax's CPU device; None, the default device, if there is none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS may exclude it
        return None


@functools.partial(jax.jit, static_argnames=("shots", "others"))
def _draw_steps(seed, steps, source, tasks, shots, others):
    def one(step):
        key, _ = episodes.keys(seed, step)
        return episodes.draw(key, *source, tasks, shots, others)

    return jax.vmap(one)(steps)


@contextlib.contextmanager
def stream(bank, classes, mesh, seed, blocks, size, tasks, shots, others=0):
    """Gathers blocks of meta-steps in a thread, ahead of the device.

    Args:
      bank: `bank.Bank`.
      classes: `[allowed]` indices of the classes to draw from.
      mesh: `jax.sharding.Mesh` of the devices that share the tasks.
      seed: seed of the run.
      blocks: iterable of the first meta-step of each block.
      size: meta-steps per block; a shorter last block ignores the surplus.
      tasks: number of tasks in a meta-step.
      shots: number of support images in each.
      others: number of further images of the class in each.

    Yields:
      An iterator of `Streamed`, one per block.
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
