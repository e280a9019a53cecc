"""Few-shot generation: loads a meta-trained model and adapts it to a support."""

import difflib

import numpy as np

from figr_jax import adapted, build, checkpoints, config, export, kinds, snapshots
from figr_jax.adapted import check_whole
from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.data import episodes, inputs, splits, styles


class FewShotGenerator:
    """A meta-trained model that adapts to a few images of a class.

    Attributes:
      networks: `networks.Networks`.
      slow: slow parameters, `networks.GanParams`; adaptation does not change them.
      config: the config that the model was trained with.
      info: the snapshot's record: `config`, `split`, `style` and more.
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
          seed: seed of the noise of the inner steps.
          inner_steps: K; by default that of the model's config.

        Returns:
          An `Adapted`.

        Raises:
          ValueError: if the images have another type or size, or a number is negative
            or not an integer.
        """
        options = self._sampling(inner_steps)
        return self.start(support, seed).advance(options.inner.steps)

    def start(self, support, seed=0):
        """Returns the `Adapted` before the first inner step; `advance` takes steps.

        Arguments and errors are those of `adapt`.
        """
        support = self._check(np.asarray(support))
        options = build.sampling(self.config)
        return adapted.start(self.networks, options, self.slow, support, seed)

    def export(self, path, shots=None, count=24, inner_steps=None):
        """Writes the model as one file that needs JAX, not this package.

        See `export.write`; `docs/extending.md` shows how to read it. With latents drawn
        as in `adapted.draw_candidates`, it generates the images of `adapt` and
        `generate`, up to rounding.

        Args:
          path: path of the new file.
          shots: number of support images; by default that of meta-training.
          count: number of images per call.
          inner_steps: K; by default that of the model's config.

        Raises:
          BadInput: if the file exists, or its folder does not.
          ValueError: if a number is not an integer, `shots` or `count` is less than 1,
            or `inner_steps` is negative.
        """
        shots = self.config.inner.shots if shots is None else shots
        for name, number in (("shots", shots), ("count", count)):
            if check_whole(name, number) == 0:
                raise ValueError(f"{name}=0: must be at least 1")
        options = self._sampling(inner_steps)
        export.write(self.networks, options, self.slow, path, shots, count)

    def _sampling(self, inner_steps):
        """Returns the `sampling.Sampling`, with K replaced unless it is None."""
        options = build.sampling(self.config)
        if inner_steps is None:
            return options
        steps = check_whole("inner_steps", inner_steps)
        return options._replace(inner=options.inner._replace(steps=steps))

    @property
    def style(self):
        """The `styles.Style` of the model's data."""
        style = self.info.get("style")
        if style is None:  # a snapshot of an earlier version
            return styles.plain(self.info["background"])
        return styles.Style.from_json(style)

    def read(self, given, invert=None, redraw=True):
        """Reads images as a support for `adapt`, and prepares them for this model.

        Drawings are cropped to the ink, centred and cleaned, unless they look like the
        model's data already; see `drawings.prepare`. Warns of images that are almost
        blank, are all the same, or show different things.

        Args:
          given: one or more image files, folders of images, PIL images, or arrays
            `[H, W]` or `[H, W, C]` of uint8 in [0, 255].
          invert: whether to swap dark and light; None decides for each grey image, see
            `drawings.prepare`.
          redraw: False only resizes the images and swaps dark and light.

        Returns:
          The support, `[shots, H, W, C]` uint8.

        Raises:
          BadInput: if there is no image, one cannot be read, or all are blank.
        """
        return self.prepare(given, invert, redraw)[1].support

    def prepare(self, given, invert=None, redraw=True):
        """Does what `read` does, and also returns the images before the preparation.

        Returns:
          The images as they were, a list of `[H, W, C]` uint8, and
          `drawings.Prepared`.
        """
        size, channels = self.networks.image_size, self.networks.channels
        return inputs.prepare(
            given, size, channels, self.style, invert, redraw, kinds.find_odd
        )

    def split(self, bank):
        """Returns the split that the model was trained with.

        Args:
          bank: `bank.Bank` of its data set, or of one data set of its mix.

        Raises:
          BadInput: if the bank is of another data set or version.
        """
        return splits.Split(**self.info["split"]).of_bank(bank)

    def draw_heldout(self, name, seed=0, data_dir=None):
        """Draws a support of a held-out class, with as many shots as in training.

        Args:
          name: name of the class; case does not matter.
          seed: seed of the draw.
          data_dir: where prepared data sets live; TFDS's own default if None.

        Returns:
          `[shots, H, W, C]` uint8.

        Raises:
          BadInput: if no held-out class has that name, or it has too few images.
        """
        name = splits.normalize(name)
        heldout = {
            splits.normalize(known).casefold(): known
            for known in self.info["split"]["heldout"]
        }
        if not heldout:
            raise BadInput(f"{name!r}: this model has no held-out classes")
        if name.casefold() not in heldout:
            near = difflib.get_close_matches(name.casefold(), heldout, 1)
            hint = f" (did you mean {heldout[near[0]]!r}?)" if near else ""
            raise BadInput(
                f"{name!r} is not a held-out class of this model{hint}; it has "
                f"{len(heldout)}, such as {next(iter(heldout.values()))!r}; "
                "figr_jax.load(PATH).info['split']['heldout'] lists all"
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


def load(path, flag="--checkpoint"):
    """Loads a meta-trained model.

    Args:
      path: the name of shipped weights, a run's folder (for its newest good snapshot),
        or one snapshot.
      flag: flag that gave the path, for messages.

    Returns:
      A `FewShotGenerator`.

    Raises:
      BadInput: if there is no snapshot, or a later version of this package wrote it.
      FailedWork: if all are damaged.
    """
    return checkpoints.newest_good(
        f"{path}/snapshots",
        lambda: snapshots.find(path, flag),
        lambda found: FewShotGenerator(*snapshots.read(found)),
    )
