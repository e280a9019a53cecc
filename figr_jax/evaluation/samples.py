"""Generated images of held-out classes: adapt to each support, then draw."""

import functools
import hashlib
import json
import time

import jax
import numpy as np
import tqdm
from jax import lax

from figr_jax import adaptation, sampling
from figr_jax.common import compilation, files
from figr_jax.common.errors import say
from figr_jax.data import images

_CHUNK = 500  # inner steps in one call of the device; the progress bar moves after each
_CLASSES = 10  # classes in one call, at most


@functools.cache
def _compile(networks, options, shots, count, at, size):
    """Compiles a program that adapts to `size` supports and draws images of each.

    It maps slow parameters, supports `[size, shots, H, W, C]` uint8 and keys `[size]`
    to images `[size, len(at), count, H, W, C]` uint8, after the inner steps `at`.
    """
    inner, best_of = options.inner, options.best_of
    # [len(at), 2]: the first and last inner step before each set of images.
    parts = np.stack([(0, *at[:-1]), at], axis=1)
    # At least one step: tracing the loop's body indexes the noise.
    noisy = inner._replace(steps=max(1, inner.steps))

    def one(slow, support, key):
        noise_key, latent_key = jax.random.split(key)
        noise = adaptation.draw_noise(noise_key, networks, shots, noisy)
        candidates = jax.random.normal(latent_key, (count * best_of, networks.latent))
        candidates = candidates.reshape(count, best_of, -1)
        episode = adaptation.Episode(support)

        def step(i, state):
            now = jax.tree.map(lambda x: x[i], noise)
            return adaptation.inner_step(networks, state, episode, now, inner)[0]

        def advance(state, part):
            state = lax.fori_loop(part[0], part[1], step, state)
            drawn = sampling.generate_best(
                networks, options, state.fast, support, candidates
            )
            return state, images.to_uint8(drawn)

        return lax.scan(advance, adaptation.init_state(slow, inner), parts)[1]

    def chunk(slow, supports, keys):
        supports = images.to_float(supports)
        # One after another on the CPU, where that is faster (experiments/speed/tasks).
        together = None if jax.default_backend() == "cpu" else len(supports)
        return lax.map(lambda x: one(slow, *x), (supports, keys), batch_size=together)

    slow = jax.eval_shape(networks.init, jax.random.key(0))
    side, channels = networks.image_size, networks.channels
    supports = jax.ShapeDtypeStruct((size, shots, side, side, channels), np.uint8)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), size))
    chunk = jax.jit(chunk, compiler_options=compilation.options())
    return chunk.lower(slow, supports, keys).compile()


def adapt_and_draw(
    networks, options, slow, supports, seed, count, at=None, label="model"
):
    """Adapts to each class and draws images.

    Args:
      networks: `networks.Networks`.
      options: `sampling.Sampling`.
      slow: slow parameters, `networks.GanParams`.
      supports: `[classes, shots, H, W, C]` uint8.
      seed: seed of noise and latents.
      count: images per class.
      at: ascending numbers of inner steps after which to draw, the last one
        `options.inner.steps`; by default that alone.
      label: label of the progress bar.

    Returns:
      `[classes, len(at), count, H, W, C]` uint8, and the seconds a class took, without
      compilation.
    """
    steps = options.inner.steps
    at = tuple(at or (steps,))
    keys = jax.random.split(jax.random.key(seed), len(supports))
    drawn, seconds = [], []
    size = min(_CLASSES, len(supports), max(1, _CHUNK // max(1, steps)))
    function = _compile(networks, options, supports.shape[1], count, at, size)
    with tqdm.tqdm(total=len(supports), desc=label, unit=" classes") as bar:
        for first in range(0, len(supports), size):
            # The last chunk is padded.
            rows = np.arange(first, first + size) % len(supports)
            begin = time.perf_counter()
            result = np.asarray(function(slow, supports[rows], keys[rows]))
            seconds.append((time.perf_counter() - begin) / size)
            left = min(size, len(supports) - first)
            drawn.append(result[:left])
            bar.update(left)
    return np.concatenate(drawn), float(np.median(seconds))


class Images:
    """Generates images and caches them, so that a stopped report can resume."""

    def __init__(self, folder, model, seed, count):
        """Opens the cache of a model.

        Args:
          folder: folder of the caches of all models.
          model: `generation.FewShotGenerator`.
          seed: seed of the report.
          count: images per class.
        """
        self._networks, self._count = model.networks, count
        key = [model.info["checksums"], model.info["config"], seed, count]
        # Other code or another device draws a little otherwise, and in another time.
        key += [compilation.describe_code(), jax.devices()[0].device_kind]
        text = json.dumps(key, sort_keys=True)
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:12]
        self._folder.mkdir(parents=True, exist_ok=True)

    def adapt_and_draw(self, name, options, slow, draw, at=None, label=None):
        """Returns the images and seconds of `adapt_and_draw`, cached.

        Args:
          name: name of the file. Calls with other options or slow parameters need
            other names.
          options: `sampling.Sampling`.
          slow: slow parameters, `networks.GanParams`.
          draw: `supports.Draw` with the supports and the seed of noise and latents.
          at: numbers of inner steps after which to draw.
          label: label of the progress bar; by default the name.
        """
        steps = options.inner.steps
        digest = hashlib.sha256(json.dumps([steps, at, draw.seed]).encode())
        digest.update(np.ascontiguousarray(draw.supports))
        path = self._folder / f"{name}-{steps}-{digest.hexdigest()[:12]}.npz"
        if path.exists():
            try:
                with np.load(path) as stored:
                    return stored["images"], float(stored["seconds"])
            except Exception as error:  # a damaged archive raises many kinds
                say(f"{path}: damaged ({error}); generating again")
        drawn, seconds = adapt_and_draw(
            *(self._networks, options, slow, draw.supports, draw.seed),
            *(self._count, at),
            label=label or name,
        )
        files.write_arrays(path, {"images": drawn, "seconds": np.array(seconds)})
        return drawn, seconds
