"""One interface to weights for sampling: snapshots of runs and shipped files."""

import pathlib

import jax

from figr_jax import build, checkpoints, config, shipped
from figr_jax.common import compilation
from figr_jax.common.errors import BadInput, FailedWork


def find(path, flag="--checkpoint"):
    """Finds the snapshots of a path.

    Args:
      path: the name of shipped weights, a run's folder, or one snapshot.
      flag: flag that gave the path, for messages.

    Returns:
      A list for `read`, newest first.

    Raises:
      BadInput: if there is none.
    """
    if str(path) in shipped.names():
        return [str(path)]
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise BadInput(
            f"{flag}={path}: no such folder or shipped weights; shipped are "
            f"{', '.join(shipped.names())}"
        )
    if (folder / "slow").is_dir():
        return [folder]
    steps = checkpoints.list_steps(folder / "snapshots")
    if not steps:
        raise BadInput(
            f"{flag}={path}: holds no snapshot; give the --workdir of a run "
            "that has saved, or one folder of its snapshots/"
        )
    return [folder / "snapshots" / str(step) for step in reversed(steps)]


@compilation.in_float32
def read(path):
    """Reads a snapshot.

    Args:
      path: as `find` returns it.

    Returns:
      The slow parameters, `networks.GanParams`, and the info record, a dict.

    Raises:
      BadInput: if a later version of this package wrote it.
      FailedWork: if it is damaged.
    """
    source = shipped if str(path) in shipped.names() else checkpoints
    info = source.read_info(path)
    try:
        networks = build.networks(config.from_dict(info["config"]))
    except (BadInput, AttributeError) as error:
        raise FailedWork(
            f"{path}: its config cannot be used ({error}); written by figr_jax "
            f"{info['version']}"
        ) from error
    shapes = jax.eval_shape(lambda: networks.init(jax.random.key(0)))
    return source.load_slow(path, shapes, info), info
