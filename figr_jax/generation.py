"""Few-shot generation: a model adapts to a support, the adapted model generates."""

import difflib
import functools
import pathlib
from typing import NamedTuple

import jax
import numpy as np

from figr_jax import adaptation, build, checkpoints, compilation, config, shipped
from figr_jax.data import bank as banks
from figr_jax.data import episodes, images, splits
from figr_jax.errors import BadInput, FailedWork
from figr_jax.networks import GanParams, Networks

# Images made in one call: the last batch is padded, so any count compiles once.
_BATCH = 32
_TRACED = len(adaptation.Trace._fields)


def _whole(name, value):
    """A number that must be whole and fit 32 bits."""
    if not isinstance(value, int | np.integer) or not 0 <= value < 2**32:
        raise ValueError(
            f"{name}={value!r}: must be a whole number from 0 to 2**32 - 1"
        )
    return int(value)


class Adapted(NamedTuple):
    """A model adapted to one support: what new images are generated from.

    Attributes:
      networks: `networks.Networks`.
      inner: `adaptation.Inner` of the adaptation.
      fast: fast parameters, `networks.GanParams`.
      support: `[shots, H, W, C]` uint8.
      trace: `adaptation.Trace` of numpy arrays `[inner_steps]`.
    """

    networks: Networks
    inner: adaptation.Inner
    fast: GanParams
    support: np.ndarray
    trace: adaptation.Trace

    def generate(self, count, seed=0):
        """Generates new images of the class.

        Image i depends on the support, the seeds and i alone, not on `count`.

        Args:
          count: number of images.
          seed: of the latents.

        Returns:
          `[count, H, W, C]` uint8.

        Raises:
          ValueError: if a number is not whole or below 0.
        """
        return self.draw(self.best_latents(count, seed))

    def draw(self, latents):
        """Generates the images of given latents.

        Args:
          latents: `[count, latent]` float32, standard normal; `inner.latent_scale`
            stretches them.

        Returns:
          `[count, H, W, C]` uint8.

        Raises:
          ValueError: if the latents are of another size.
        """
        if latents.shape[1:] != (self.networks.latent,):
            raise ValueError(
                f"latents of shape {list(latents.shape)}: must be [count, "
                f"{self.networks.latent}]"
            )
        program = _program(_generate, self.networks, self._key())
        return _in_batches(program, (self.fast.generator, self.support), latents)

    def best_latents(self, count, seed=0):
        """Latents of good images of the class.

        For each image the adapted critic chooses one of `inner.best_of` candidates.
        Row i depends on the support, the seeds and i alone.

        Args:
          count: number of latents.
          seed: of the candidates.

        Returns:
          `[count, latent]` float32.
        """
        candidates = draw_candidates(
            count, self.inner.best_of, self.networks.latent, seed
        )
        if self.inner.best_of == 1:
            return candidates[:, 0]
        program = _program(_choose, self.networks, self._key())
        chosen = _in_batches(program, (self.fast, self.support), candidates)
        return candidates[np.arange(count), chosen]

    def _key(self):
        """The part of `inner` that generating depends on: compiled once for any K."""
        return self.inner._replace(steps=0)


def draw_candidates(count, best_of, latent, seed):
    """Draws candidates for the latents of images; row i depends on seed and i alone.

    Args:
      count: number of images.
      best_of: candidates for each.
      latent: size of a latent.
      seed: of the draw.

    Returns:
      `[count, best_of, latent]` float32, standard normal.
    """
    _whole("count", count), _whole("seed", seed)
    shape = best_of, latent
    rows = [
        np.random.default_rng([seed, i]).standard_normal(shape) for i in range(count)
    ]
    return np.array(rows, np.float32).reshape(count, *shape)


class FewShotGenerator:
    """A meta-trained model that adapts to a few images of a class.

    Attributes:
      networks: `networks.Networks`.
      slow: slow parameters, `networks.GanParams`; adaptation leaves them as they are.
      config: the config that the model was trained with.
      info: the snapshot's record: `config`, `split`, `background` and more.
    """

    def __init__(self, slow, info):
        """Makes a generator from slow parameters and their info record."""
        self.config = config.from_dict(info["config"])
        self.networks = build.networks(self.config)
        self.slow = slow
        self.info = info

    def adapt(self, support, seed=0, inner_steps=None):
        """Adapts to a support.

        Args:
          support: `[shots, H, W, C]` uint8 in [0, 255], of the model's size; grey
            images may lack the last axis. `read` makes them from files. Any number of
            shots.
          seed: of the latents and mixes of the inner steps.
          inner_steps: K; by default as the model's config says.

        Returns:
          An `Adapted`.

        Raises:
          ValueError: if the images are of another kind or size, or a number is not
            whole or below 0.
        """
        *_, adapted = self.adapt_by_step(support, seed, inner_steps)
        return adapted

    def adapt_by_step(self, support, seed=0, inner_steps=None):
        """Yields an `Adapted` before the first inner step and after each.

        Arguments and errors are those of `adapt`.
        """
        support = self._check(np.asarray(support))
        inner = build.sampling(self.config)
        if inner_steps is not None:
            inner = inner._replace(steps=_whole("inner_steps", inner_steps))
        networks, seed = self.networks, np.uint32(_whole("seed", seed))
        noise = _program(_draw_noise, networks, inner, len(support))(seed)
        noise = jax.tree.map(np.asarray, noise)
        # Not all steps in one program: it serves any number of them, and each is seen.
        step = _program(_inner_step, networks, inner._replace(steps=0))
        state = _program(_init_state, networks, inner._replace(steps=0))(self.slow)
        traces = []
        for i in range(inner.steps + 1):
            columns = np.array(traces, np.float32).reshape(-1, _TRACED).T
            trace = adaptation.Trace(*columns)
            yield Adapted(networks, inner, state.fast, support, trace)
            if i < inner.steps:
                now = jax.tree.map(lambda x, i=i: x[i], noise)
                state, trace = step(state, support, now)
                traces.append(jax.tree.map(float, trace))

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
        return self.find_polarity(images.read(paths, size, channels), invert)

    def find_polarity(self, support, invert=None):
        """Swaps dark and light where the background is the other way, see `read`.

        Args:
          support: `[shots, H, W, C]` uint8.
          invert: see `read`.

        Returns:
          The support, and which images were swapped, `[shots]` bool.
        """
        seen = np.array([images.background(image).mean() for image in support])
        trained, is_grey = self.info["background"], self.networks.channels == 1
        swap = (np.abs(255 - seen - trained) < np.abs(seen - trained)) & is_grey
        if invert is not None:
            swap[:] = invert
        return np.where(swap[:, None, None, None], 255 - support, support), swap

    def split(self, bank):
        """Returns the split that the model was trained with.

        Args:
          bank: `bank.Bank` of its data set, or of one of its mix.

        Raises:
          BadInput: if the bank is of another data set or version.
        """
        return splits.Split(**self.info["split"]).of_bank(bank)

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
                f"{name!r} is no held-out class of this checkpoint{hint}; "
                f"{len(heldout)} are, such as {next(iter(heldout.values()))!r} (the "
                "run's split.json has all)"
            )
        dataset, shots = self.config.dataset, self.config.inner.shots
        bank = banks.load(dataset.name, dataset.image_size, dataset.channels, data_dir)
        split = self.split(bank)._replace(heldout=(heldout[name.casefold()],))
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


@functools.cache
def _program(function, networks, inner, *static):
    """Compiles `function(networks, inner, *static, ...)` for arrays as the rest."""
    return jax.jit(
        functools.partial(function, networks, inner, *static),
        compiler_options=compilation.options(),
    )


def _draw_noise(networks, inner, shots, seed):
    key = jax.random.fold_in(jax.random.key(seed), 0)
    return adaptation.draw_noise(key, networks, shots, inner)


def _init_state(networks, inner, slow):
    del networks
    return adaptation.init_state(slow, inner)


def _inner_step(networks, inner, state, support, noise):
    episode = adaptation.Episode(images.to_float(support))
    return adaptation.inner_step(networks, state, episode, noise, inner)


def _generate(networks, inner, generator, support, latents):
    latents = inner.latent_scale * latents
    return images.to_uint8(
        networks.generate(generator, latents, images.to_float(support))
    )


def _choose(networks, inner, fast, support, candidates):
    return adaptation.choose_candidates(
        *(networks, fast, images.to_float(support)),
        *(inner.latent_scale * candidates, inner.loss),
    )


def _in_batches(program, adapted, rows):
    """Calls `program(*adapted, rows)` with `_BATCH` rows at a time.

    Returns:
      What it returns for all rows, concatenated.
    """
    parts = []
    for first in range(0, max(1, len(rows)), _BATCH):
        some = rows[first : first + _BATCH]
        batch = np.zeros((_BATCH, *rows.shape[1:]), np.float32)
        batch[: len(some)] = some
        parts.append(np.asarray(program(*adapted, batch))[: len(some)])
    return np.concatenate(parts)


def load(path):
    """Loads a meta-trained model.

    Args:
      path: the name of shipped weights, see `shipped`, or a run's folder (its newest
        good snapshot is taken), or one snapshot.

    Returns:
      A `FewShotGenerator`.

    Raises:
      BadInput: if there is no snapshot, or a later version of this package wrote it.
      FailedWork: if it is damaged.
    """
    if str(path) in shipped.names():
        return _load(path, shipped.read_info, shipped.load)
    if not pathlib.Path(path).is_dir():
        raise BadInput(
            f"--checkpoint={path}: no such folder, nor shipped weights, which are "
            f"{', '.join(shipped.names())}"
        )

    def load_snapshot(path):
        def load(path, shapes, info):
            return checkpoints.load(path, "slow", shapes, info)

        return _load(path, checkpoints.read_info, load)

    return checkpoints.load_snapshot(path, load_snapshot)


def _load(path, read_info, load_slow):
    """A `FewShotGenerator` of one snapshot."""
    info = read_info(path)
    try:
        networks = build.networks(config.from_dict(info["config"]))
    except (BadInput, AttributeError) as error:
        raise FailedWork(
            f"{path}: its config cannot be used ({error}); figr_jax {info['version']} "
            "wrote it"
        ) from error
    shapes = jax.eval_shape(lambda: networks.init(jax.random.key(0)))
    return FewShotGenerator(load_slow(path, shapes, info), info)
