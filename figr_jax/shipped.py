"""Weights that ship with the package: small models, by name.

Each is one .npz of float16 arrays with the snapshot's info record, written by
experiments/ship.py. A model card of the same name is in the same folder.
"""

import json
import pathlib

import jax
import numpy as np

from figr_jax import checkpoints
from figr_jax.common import files
from figr_jax.common.errors import FailedWork

FOLDER = pathlib.Path(__file__).parent / "weights"


def names():
    """Returns the names of all shipped weights."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def write(path, slow, info):
    """Writes weights in float16.

    Args:
      path: path of the .npz.
      slow: slow parameters, `networks.GanParams`.
      info: the snapshot's record, optionally with a `report`.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(slow)
    arrays = {
        jax.tree_util.keystr(where): np.asarray(leaf, np.float16)
        for where, leaf in leaves
    }
    rounded = jax.tree.map(lambda x: np.float32(np.float16(x)), slow)
    info = dict(info, checksums=checkpoints.checksums(rounded))
    files.write_arrays(path, {"info": np.array(json.dumps(info)), **arrays})


def read_info(name):
    """Reads the info record of shipped weights.

    Raises:
      FailedWork: if they are damaged.
    """
    return _read(name, lambda stored: json.loads(str(stored["info"])))


def load_slow(name, shapes, info):
    """Loads shipped weights, in float32.

    Args:
      name: one of `names()`.
      shapes: a pytree of the parameters' shapes.
      info: info record, as `read_info` returns it.

    Returns:
      A pytree like `shapes`.

    Raises:
      FailedWork: if they are damaged.
    """

    def restore(stored):
        return jax.tree_util.tree_map_with_path(
            lambda where, _: np.float32(stored[jax.tree_util.keystr(where)]), shapes
        )

    slow = _read(name, restore)
    if checkpoints.checksums(slow) != info["checksums"]:
        raise FailedWork(f"{name}: damaged; reinstall figr_jax")
    return slow


def _read(name, function):
    """Applies a function to the stored arrays of shipped weights."""
    try:
        with np.load(FOLDER / f"{name}.npz") as stored:
            return function(stored)
    except Exception as error:  # a damaged archive raises many kinds
        raise FailedWork(f"{name}: damaged ({error}); reinstall figr_jax") from error
