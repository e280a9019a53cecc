"""Few-shot generation from a snapshot: adapt to a support, then draw new images."""

import difflib
import pathlib
import time

import jax
import numpy as np

from figr_jax import adaptation, checkpoints, compilation, config, shipped
from figr_jax.data import bank as banks
from figr_jax.data import episodes, images, splits
from figr_jax.errors import BadInput, FailedWork

# Images made in one call: the last batch is padded, so any count compiles once.
_BATCH = 32


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
        self._fast = self._support = None

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
        traces = list(self.adapt_by_step(support, seed, inner_steps))
        columns = np.array(traces, np.float32).reshape(
            -1, len(adaptation.Trace._fields)
        )
        return adaptation.Trace(*columns.T)

    def adapt_by_step(self, support, seed=0, inner_steps=None):
        """`adapt`, one inner step at a time; `generate` may be called in between.

        Args:
          support: see `adapt`.
          seed: see `adapt`.
          inner_steps: see `adapt`.

        Yields:
          The `adaptation.Trace` of each inner step, of numpy numbers.

        Raises:
          ValueError: see `adapt`.
        """
        support = self._check(np.asarray(support))
        inner = config.build_sampling(self.config)
        if inner_steps is not None:
            inner = inner._replace(steps=_whole("inner_steps", inner_steps))
        networks, shots = self.networks, len(support)

        def draw_noise(seed):
            key = jax.random.fold_in(jax.random.key(seed), 0)
            return adaptation.draw_noise(key, networks, shots, inner)

        def init_state(slow):
            return adaptation.init_state(slow, inner)

        def inner_step(state, support, noise):
            support = images.to_float(support)
            episode = adaptation.Episode(support)
            return adaptation.inner_step(networks, state, episode, noise, inner)

        seed = np.uint32(_whole("seed", seed))
        noise = self._compile(draw_noise, (seed,), inner.steps, shots)(seed)
        noise = jax.tree.map(np.asarray, noise)
        state = self._compile(init_state, (self.slow,))(self.slow)
        self.seconds["adapt"] = 0.0
        self._support, self._fast = support, state.fast
        # Not all steps in one program: any number of them is served, each is seen.
        step = None
        for i in range(inner.steps):
            now = state, support, jax.tree.map(lambda x, i=i: x[i], noise)
            step = step or self._compile(inner_step, now)
            begin = time.perf_counter()
            state, trace = jax.block_until_ready(step(*now))
            self.seconds["adapt"] += time.perf_counter() - begin
            self._fast = state.fast
            yield jax.tree.map(np.asarray, trace)

    def latents(self, count, seed=0):
        """Latents of which row i depends on the seed and i alone.

        Args:
          count: how many.
          seed: of the draw.

        Returns:
          `[count, latent]` float32.
        """
        return self._candidates(count, seed, 1)[:, 0]

    def best_latents(self, count, seed=0):
        """Latents of good images of the class adapted to.

        For each image the critic chooses one of `config.sampling.best_of` candidates.
        Row i depends on the support, the seeds and i alone.

        Args:
          count: how many.
          seed: of the draw.

        Returns:
          `[count, latent]` float32.

        Raises:
          RuntimeError: if `adapt` was not called before.
        """
        best_of = self.config.sampling.best_of
        candidates = self._candidates(count, seed, best_of)
        if best_of == 1:
            return candidates[:, 0]
        fast, support = self._adapted()
        networks, loss = self.networks, config.build_sampling(self.config).loss
        scale = self.config.sampling.latent_scale

        def choose(fast, support, candidates):
            support = images.to_float(support)
            return adaptation.choose_latents(
                networks, fast, support, candidates * scale, loss
            )

        chosen = self._in_batches(choose, (fast, support), candidates)
        return chosen / np.float32(scale)

    def _candidates(self, count, seed, best_of):
        """Standard normal `[count, best_of, latent]`."""
        _whole("count", count), _whole("seed", seed)
        shape = best_of, self.networks.latent
        rows = [
            np.random.default_rng([seed, i]).standard_normal(shape)
            for i in range(count)
        ]
        return np.array(rows, np.float32).reshape(count, *shape)

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
        return self.draw(self.best_latents(count, seed))

    def draw(self, latents):
        """Draws the images of latents, of the class adapted to.

        Args:
          latents: `[count, latent]` float32, standard normal as by `latents`; the
            config's `sampling.latent_scale` stretches them.

        Returns:
          `[count, H, W, C]` uint8.

        Raises:
          RuntimeError: if `adapt` was not called before.
          ValueError: if the latents are of another size.
        """
        fast, support = self._adapted()
        if latents.shape[1:] != (self.networks.latent,):
            raise ValueError(
                f"latents of shape {list(latents.shape)}: must be [count, "
                f"{self.networks.latent}]"
            )

        def draw(generator, support, latents):
            support = images.to_float(support)
            return images.to_uint8(self.networks.generate(generator, latents, support))

        latents = latents * np.float32(self.config.sampling.latent_scale)
        return self._in_batches(draw, (fast.generator, support), latents)

    def _adapted(self):
        """Fast parameters and support of the last adaptation."""
        if self._fast is None:
            raise RuntimeError("call adapt(images) before generate(count)")
        return self._fast, self._support

    def _in_batches(self, function, adapted, rows):
        """Calls `function(*adapted, rows)` with `_BATCH` rows at a time.

        Returns:
          What it returns for all rows, concatenated.
        """
        batch = np.zeros((_BATCH, *rows.shape[1:]), np.float32)
        program = self._compile(function, (*adapted, batch))
        found = [np.asarray(program(*adapted, batch))[:0]] if not len(rows) else []
        begin = time.perf_counter()
        for first in range(0, len(rows), _BATCH):
            some = rows[first : first + _BATCH]
            result = program(*adapted, np.resize(some, batch.shape))
            found.append(np.asarray(result)[: len(some)])
        self.seconds["generate"] = time.perf_counter() - begin
        return np.concatenate(found)

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

    def _compile(self, function, arguments, *more):
        """Compiles a function; `more` is what it depends on but the model."""
        configs = [self.config[part].to_dict() for part in ("inner", "sampling")]
        name = [function.__name__, repr(self.networks), configs, more]
        begin = time.perf_counter()
        program = compilation.keep(function, arguments, name)
        self.seconds["compile"] += time.perf_counter() - begin
        return program


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
        networks = config.build_networks(config.from_dict(info["config"]))
    except (BadInput, AttributeError) as error:
        raise FailedWork(
            f"{path}: its config cannot be used ({error}); figr_jax {info['version']} "
            "wrote it"
        ) from error
    shapes = jax.eval_shape(lambda: networks.init(jax.random.key(0)))
    return FewShotGenerator(load_slow(path, shapes, info), info)
