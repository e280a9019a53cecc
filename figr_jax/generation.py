"""Few-shot generation from a snapshot: adapt to a support, then draw new images."""

import difflib
import functools
import time

import jax
import numpy as np
from jax import numpy as jnp

from figr_jax import adaptation, checkpoints, compilation, config
from figr_jax.data import bank as banks
from figr_jax.data import episodes, images, splits
from figr_jax.errors import BadInput, FailedWork

# Images made in one call: the last batch is padded, so any count compiles once.
_BATCH = 32


def _adapt(networks, inner, slow, support, seed):
    key = jax.random.fold_in(jax.random.key(seed), 0)
    return adaptation.adapt(networks, slow, images.to_float(support), key, inner)


def _generate(networks, generator, seed, first):
    key = jax.random.fold_in(jax.random.key(seed), 1)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(_BATCH))
    latents = jax.vmap(lambda key: jax.random.normal(key, (networks.latent,)))(keys)
    return images.to_uint8(networks.generate(generator, latents))


def _slow_shapes(networks):
    return jax.eval_shape(networks.init, jax.random.key(0))


_SEED = jax.ShapeDtypeStruct((), jnp.uint32)
_INDEX = jax.ShapeDtypeStruct((), jnp.int32)


@functools.cache
def _compile_adapt(networks, inner, shots):
    size = networks.image_size
    support = jax.ShapeDtypeStruct((shots, size, size, networks.channels), jnp.uint8)
    function = functools.partial(_adapt, networks, inner)
    function = jax.jit(function, compiler_options=compilation.options())
    return function.lower(_slow_shapes(networks), support, _SEED).compile()


@functools.cache
def _compile_generate(networks):
    function = functools.partial(_generate, networks)
    function = jax.jit(function, compiler_options=compilation.options())
    generator = _slow_shapes(networks).generator
    return function.lower(generator, _SEED, _INDEX).compile()


def _whole(name, value):
    """A number that must be whole and fit 32 bits."""
    if not isinstance(value, int | np.integer) or not 0 <= value < 2**32:
        raise ValueError(
            f"{name}={value!r}: must be a whole number from 0 to 2**32 - 1"
        )
    return int(value)


class FewShotGenerator:
    """A meta-trained model that adapts to a few images and draws new ones.

    Attributes:
      networks: `networks.Networks`.
      slow: slow parameters, `networks.GanParams`; adaptation leaves them as they are.
      config: the config that the model was trained with.
      info: the snapshot's record: `config`, `split`, `background` and more.
      seconds: how long the last `adapt` and `generate` took without compilation, and
        all compilations (`compile`) so far.
    """

    def __init__(self, slow, info):
        """Makes a generator from slow parameters and their info record."""
        self.config = config.from_dict(info["config"])
        self.networks = config.build_networks(self.config)
        self.slow = slow
        self.info = info
        self.seconds = {"compile": 0.0}
        self._fast = None

    def adapt(self, support, seed=0, inner_steps=None):
        """Adapts to a support; `generate` then draws from the adapted parameters.

        Args:
          support: `[shots, H, W, C]` uint8 in [0, 255], of the model's size; grey
            images may lack the last axis. `figr_jax.data.images.read` makes them from
            files. Any number of shots.
          seed: of the latents and mixes of the inner steps.
          inner_steps: K; what the model was trained with if None.

        Returns:
          `adaptation.Trace` of numpy arrays `[inner_steps]`.

        Raises:
          ValueError: if the images are of another kind or size, or a number is not
            whole or below 0.
        """
        support = self._check(np.asarray(support))
        inner = config.build_inner(self.config)
        if inner_steps is not None:
            inner = inner._replace(steps=_whole("inner_steps", inner_steps))
        _whole("seed", seed)
        compiled = self._compile(_compile_adapt, self.networks, inner, len(support))
        fast, trace = self._time("adapt", compiled, self.slow, support, np.uint32(seed))
        self._fast = fast
        return jax.tree.map(np.asarray, trace)

    def generate(self, count, seed=0):
        """Draws images of the class adapted to.

        Image i depends on the support, the seeds and i alone, not on `count`.

        Args:
          count: how many.
          seed: of the latents.

        Returns:
          `[count, H, W, C]` uint8.

        Raises:
          RuntimeError: if `adapt` was not called before.
          ValueError: if a number is not whole or below 0.
        """
        if self._fast is None:
            raise RuntimeError("call adapt(images) before generate(count)")
        _whole("count", count), _whole("seed", seed)
        compiled = self._compile(_compile_generate, self.networks)

        def batches():
            firsts = range(0, count, _BATCH)
            seed32 = np.uint32(seed)
            return [compiled(self._fast.generator, seed32, np.int32(i)) for i in firsts]

        size, channels = self.networks.image_size, self.networks.channels
        empty = np.zeros((0, size, size, channels), np.uint8)
        return np.concatenate([empty, *self._time("generate", batches)])[:count]

    def read(self, paths, invert=None):
        """Reads image files as a support for `adapt`.

        Args:
          paths: image files, and folders that stand for the images in them.
          invert: whether to swap dark and light; if None, swaps each grey image whose
            background is nearer to the opposite of what the model was trained on.

        Returns:
          The support, `[shots, H, W, C]` uint8, and which images were swapped,
          `[shots]` bool.

        Raises:
          BadInput: if there is no image, or one cannot be read.
        """
        size, channels = self.networks.image_size, self.networks.channels
        support = images.read(paths, size, channels)
        seen = np.array([images.background(image).mean() for image in support])
        trained = self.info["background"]
        swap = (np.abs(255 - seen - trained) < np.abs(seen - trained)) & (channels == 1)
        if invert is not None:
            swap[:] = invert
        return np.where(swap[:, None, None, None], 255 - support, support), swap

    def draw_heldout(self, name, seed=0, data_dir=None):
        """Draws a support of a held-out class, as many images as in training.

        Args:
          name: of the class; case does not count.
          seed: of the draw.
          data_dir: where prepared data sets live; TFDS's own default if None.

        Returns:
          `[shots, H, W, C]` uint8.

        Raises:
          BadInput: if no held-out class has that name, or it has too few images.
        """
        heldout = {known.casefold(): known for known in self.info["split"]["heldout"]}
        if not heldout:
            raise BadInput(f"{name!r}: this checkpoint has no held-out classes")
        if name.casefold() not in heldout:
            near = difflib.get_close_matches(name.casefold(), heldout, 1)
            hint = f" (did you mean {heldout[near[0]]!r}?)" if near else ""
            raise BadInput(
                f"{name!r} is no held-out class of this checkpoint{hint}; all "
                f"{len(heldout)} are in its split.json"
            )
        dataset, shots = self.config.dataset, self.config.inner.shots
        bank = banks.load(dataset.name, dataset.image_size, dataset.channels, data_dir)
        split = splits.Split(**self.info["split"])._replace(
            heldout=(heldout[name.casefold()],)
        )
        _, (index,) = split.indices(bank.names)
        if len(bank.class_images(index)) < shots:
            raise BadInput(f"{name!r} has fewer than {shots} images")
        return episodes.support(bank, index, shots, seed)

    def _check(self, support):
        size, channels = self.networks.image_size, self.networks.channels
        if channels == 1 and support.ndim == 3:
            support = support[..., None]
        shape = (size, size, channels)
        if support.dtype != np.uint8 or support.shape[1:] != shape or not len(support):
            raise ValueError(
                f"support of {support.dtype}{list(support.shape)}: must be uint8"
                f"[shots, {size}, {size}, {channels}]"
            )
        return support

    def _compile(self, function, *args):
        begin = time.perf_counter()
        compiled = function(*args)
        self.seconds["compile"] += time.perf_counter() - begin
        return compiled

    def _time(self, what, function, *args):
        begin = time.perf_counter()
        result = jax.block_until_ready(function(*args))
        self.seconds[what] = time.perf_counter() - begin
        return result


def load(path):
    """Loads a meta-trained model.

    Args:
      path: a run's folder (its newest good snapshot is taken) or one snapshot.

    Returns:
      A `FewShotGenerator`.

    Raises:
      BadInput: if there is no snapshot, or a later version of this package wrote it.
      FailedWork: if it is damaged.
    """
    return checkpoints.load_snapshot(path, _load)


def _load(path):
    """A `FewShotGenerator` of one snapshot."""
    info = checkpoints.read_info(path)
    try:
        networks = config.build_networks(config.from_dict(info["config"]))
    except (BadInput, AttributeError) as error:
        raise FailedWork(
            f"{path}: its config cannot be used ({error}); figr_jax {info['version']} "
            "wrote it"
        ) from error
    slow = checkpoints.load(path, "slow", _slow_shapes(networks), info)
    return FewShotGenerator(slow, info)
