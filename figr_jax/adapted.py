"""A model adapted to one support, which generates new images of its class."""

import functools
from typing import NamedTuple

import jax
import numpy as np

from figr_jax import adaptation, sampling
from figr_jax.common import compilation
from figr_jax.data import images
from figr_jax.networks import Networks

# Images per call. The last batch is padded, so one program serves any count. For 24
# images, three calls of 8 take half the time of one call of 32 on a CPU core.
_BATCH = 8
# Inner steps whose noise is drawn at once. The noise of a step does not depend on their
# number, so one program serves most K.
_STEPS = 32


class Adapted(NamedTuple):
    """A model adapted to one support; it generates new images of the class.

    Attributes:
      networks: `networks.Networks`.
      sampling: `sampling.Sampling`, the options of adaptation and sampling; its
        `inner.steps` is the number of inner steps taken.
      state: `adaptation.InnerState`; without optimizer states it cannot advance.
      support: `[shots, H, W, C]` uint8.
      seed: seed of the adaptation.
      trace: `adaptation.Trace` of numpy arrays `[inner_steps]`.
    """

    networks: Networks
    sampling: sampling.Sampling
    state: adaptation.InnerState
    support: np.ndarray
    seed: int
    trace: adaptation.Trace

    @property
    def fast(self):
        """The fast parameters, `networks.GanParams`."""
        return self.state.fast

    def advance(self, steps=1):
        """Takes further inner steps.

        Args:
          steps: number of further inner steps.

        Returns:
          A new `Adapted`, equal to that of an adaptation with all inner steps at once.

        Raises:
          ValueError: if `steps` is negative or not an integer, or the optimizer states
            are missing (see `without_optimizer`).
        """
        if self.state.optimizer is None:
            raise ValueError("cannot advance without optimizer states; adapt again")
        inner = self.sampling.inner
        last = inner.steps + check_whole("steps", steps)
        drawn = inner._replace(steps=(last // _STEPS + 1) * _STEPS)
        program = compile_for(_draw_noise, self.networks, drawn, len(self.support))
        noise = jax.tree.map(np.asarray, program(np.uint32(self.seed)))
        # One program per step, not for all: it serves any K.
        step = compile_for(_inner_step, self.networks, inner._replace(steps=0))
        state, traces = self.state, [np.array(self.trace)]
        for i in range(inner.steps, last):
            now = jax.tree.map(lambda x, i=i: x[i], noise)
            state, trace = step(state, self.support, now)
            traces.append(np.array(trace, np.float32)[:, None])
        trace = adaptation.Trace(*np.concatenate(traces, 1))
        options = self.sampling._replace(inner=inner._replace(steps=last))
        return self._replace(sampling=options, state=state, trace=trace)

    def without_optimizer(self):
        """Returns a smaller copy that generates the same images but cannot advance."""
        return self._replace(state=self.state._replace(optimizer=None))

    def generate(self, count, seed=0):
        """Generates new images of the class.

        Image i depends on the support, the seeds and i alone, not on `count`.

        Args:
          count: number of images.
          seed: seed of the latents.

        Returns:
          `[count, H, W, C]` uint8.

        Raises:
          ValueError: if a number is negative or not an integer.
        """
        return self.draw(self.best_latents(count, seed))

    def draw(self, latents):
        """Generates images from given latents.

        Args:
          latents: `[count, latent]` float32, standard normal; they are multiplied by
            `sampling.latent_scale`.

        Returns:
          `[count, H, W, C]` uint8.

        Raises:
          ValueError: if the latents have another shape.
        """
        if latents.shape[1:] != (self.networks.latent,):
            raise ValueError(
                f"latents of shape {list(latents.shape)}: must be [count, "
                f"{self.networks.latent}]"
            )
        program = compile_for(_generate, self.networks, self._key())
        return _in_batches(program, (self.fast.generator, self.support), latents)

    def best_latents(self, count, seed=0):
        """Draws latents of good images of the class.

        For each image the adapted critic chooses one of `sampling.best_of`
        candidates. Row i depends on the support, the seeds and i alone.

        Args:
          count: number of latents.
          seed: seed of the candidates.

        Returns:
          `[count, latent]` float32.
        """
        best_of = self.sampling.best_of
        candidates = draw_candidates(count, best_of, self.networks.latent, seed)
        if best_of == 1:
            return candidates[:, 0]
        program = compile_for(_choose, self.networks, self._key())
        chosen = _in_batches(program, (self.fast, self.support), candidates)
        return candidates[np.arange(count), chosen]

    def _key(self):
        """Returns the options that generation depends on, which excludes K."""
        inner = self.sampling.inner._replace(steps=0)
        return self.sampling._replace(inner=inner)


def start(networks, options, slow, support, seed):
    """Returns the `Adapted` before the first inner step.

    Args:
      networks: `Networks`.
      options: `sampling.Sampling`.
      slow: slow parameters, `GanParams`.
      support: `[shots, H, W, C]` uint8.
      seed: seed of the adaptation.

    Raises:
      ValueError: if the seed is negative or not an integer.
    """
    inner = options.inner._replace(steps=0)
    state = compile_for(_init_state, networks, inner)(slow)
    trace = adaptation.Trace(*np.zeros((3, 0), np.float32))
    seed = check_whole("seed", seed)
    options = options._replace(inner=inner)
    return Adapted(networks, options, state, support, seed, trace)


def draw_candidates(count, best_of, latent, seed):
    """Draws candidates for the latents of images; row i depends on seed and i alone.

    Args:
      count: number of images.
      best_of: candidates for each image.
      latent: size of a latent.
      seed: seed of the draw.

    Returns:
      `[count, best_of, latent]` float32, standard normal.
    """
    check_whole("count", count), check_whole("seed", seed)
    shape = best_of, latent
    rows = [
        np.random.default_rng([seed, i]).standard_normal(shape) for i in range(count)
    ]
    return np.array(rows, np.float32).reshape(count, *shape)


def check_whole(name, value):
    """Returns an int; raises `ValueError` if it is not an unsigned 32-bit integer."""
    if not isinstance(value, int | np.integer) or not 0 <= value < 2**32:
        raise ValueError(
            f"{name}={value!r}: must be a whole number from 0 to 2**32 - 1"
        )
    return int(value)


@functools.cache
def compile_for(function, networks, options, *static):
    """Jits `function(networks, options, *static, ...)`; further arguments are arrays.

    Cached: models with the same networks share their programs.
    """
    compiled = jax.jit(
        functools.partial(function, networks, options, *static),
        compiler_options=compilation.options(),
    )
    return compilation.in_float32(compiled)


def _init_state(networks, inner, slow):
    del networks
    return adaptation.init_state(slow, inner)


def _draw_noise(networks, inner, shots, seed):
    return adaptation.draw_noise(adaptation.sampling_key(seed), networks, shots, inner)


def _inner_step(networks, inner, state, support, noise):
    episode = adaptation.Episode(images.to_float(support))
    return adaptation.inner_step(networks, state, episode, noise, inner)


def _generate(networks, options, generator, support, latents):
    support = images.to_float(support)
    drawn = sampling.generate(networks, options, generator, support, latents)
    return images.to_uint8(drawn)


def _choose(networks, options, fast, support, candidates):
    support = images.to_float(support)
    return sampling.choose_candidates(networks, options, fast, support, candidates)


def _in_batches(program, adapted, rows):
    """Calls `program(*adapted, rows)` with `_BATCH` rows at a time.

    Returns:
      The results for all rows, concatenated.
    """
    parts = []
    for first in range(0, max(1, len(rows)), _BATCH):
        some = rows[first : first + _BATCH]
        batch = np.zeros((_BATCH, *rows.shape[1:]), np.float32)
        batch[: len(some)] = some
        parts.append(np.asarray(program(*adapted, batch))[: len(some)])
    return np.concatenate(parts)
