"""Which classes are held out: drawn once from a seed, by name."""

import hashlib
from typing import NamedTuple

import numpy as np

from figr_jax.errors import BadInput


class Split(NamedTuple):
    """The held-out classes of a data set, by name."""

    dataset: str
    version: str
    heldout: tuple[str, ...]

    def indices(self, names):
        """Class indices for meta-training and held out.

        Args:
          names: names of all classes.

        Returns:
          Two int32 arrays, `[training classes]` in the order of `names` and
          `[held-out classes]` in the order of `heldout`.

        Raises:
          BadInput: if a held-out class is not among `names`.
        """
        index = {name: i for i, name in enumerate(names)}
        missing = [name for name in self.heldout if name not in index]
        if missing:
            raise BadInput(f"held-out class {missing[0]!r} is not in {self.dataset}")
        heldout = np.array([index[name] for name in self.heldout], np.int32)
        training = np.setdiff1d(np.arange(len(names), dtype=np.int32), heldout)
        return training, heldout


def draw(dataset, version, names, heldout, seed):
    """Draws the held-out classes.

    The order of a hash of seed and name decides: it depends on no library's generator
    and on no other class, so a data set may grow without a reshuffle.

    Args:
      dataset: name of the data set.
      version: its version.
      names: names of the classes to choose from.
      heldout: how many to hold out.
      seed: of the draw.

    Returns:
      A `Split`.

    Raises:
      BadInput: if no class would be left to train on.
    """
    if heldout >= len(names):
        raise BadInput(
            f"--config.dataset.heldout={heldout}: must be below the {len(names)} "
            f"classes of {dataset}"
        )

    def rank(name):
        return hashlib.sha256(f"{seed}/{name}".encode()).digest()

    return Split(dataset, version, tuple(sorted(names, key=rank)[:heldout]))
