"""Training states and snapshots on disk: the only importer of orbax.

A run's folder has `checkpoints/<step>` (all that training resumes from) and
`snapshots/<step>` (the slow parameters, for sampling). With each travels an info
record: config, split, and a checksum of every leaf.
"""

import pathlib
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

import figr_jax
from figr_jax.errors import BadInput, FailedWork

KEEP_CHECKPOINTS = 2
KEEP_SNAPSHOTS = 5


def checksums(tree):
    """CRC-32 of every leaf's bytes, by its path in the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(leaf).tobytes())
        for path, leaf in leaves
    }


def _verify(tree, info, path):
    if checksums(tree) != info["checksums"]:
        raise FailedWork(f"{path}: damaged, a checksum does not match")


def _manager(folder, keep):
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(keep)
    )
    return ocp.CheckpointManager(pathlib.Path(folder).absolute(), options=options)


def _arguments(tree, info):
    info = dict(info, checksums=checksums(tree), version=figr_jax.__version__)
    return ocp.args.Composite(
        state=ocp.args.StandardSave(tree), info=ocp.args.JsonSave(info)
    )


def _template(tree):
    """Shapes of a tree, to be restored onto the first device of this process."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def _restore(path, template):
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        return checkpointer.restore(
            path,
            ocp.args.Composite(state=ocp.args.StandardRestore(_template(template))),
        ).state


def read_info(path):
    """The info record of one checkpoint or snapshot.

    Args:
      path: its folder.

    Returns:
      A dict with `config`, `split`, `checksums`, `version` and what was given.

    Raises:
      FailedWork: if it cannot be read.
    """
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(
                pathlib.Path(path).absolute(),
                ocp.args.Composite(info=ocp.args.JsonRestore()),
            ).info
    except (OSError, ValueError, KeyError) as error:
        raise FailedWork(f"{path}: damaged, its info cannot be read") from error


def load(path, template, info):
    """Restores the arrays of one checkpoint or snapshot, and verifies them.

    Args:
      path: its folder.
      template: a pytree of arrays or shapes, as `jax.eval_shape` gives.
      info: its info record.

    Returns:
      A pytree like `template`, on the first local device.

    Raises:
      FailedWork: if it is damaged.
    """
    try:
        tree = _restore(pathlib.Path(path).absolute(), template)
    except (OSError, ValueError, KeyError) as error:
        raise FailedWork(f"{path}: damaged, its arrays cannot be read") from error
    _verify(tree, info, path)
    return tree


def find_snapshot(path):
    """The snapshot that a `--checkpoint` path stands for.

    Args:
      path: a run's folder (its newest snapshot is taken) or one snapshot.

    Returns:
      `pathlib.Path` of the snapshot's folder.

    Raises:
      BadInput: if there is none.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise BadInput(f"--checkpoint={path}: no such folder")
    if (path / "info").is_dir() and (path / "state").is_dir():
        return path
    steps = [p for p in path.glob("snapshots/*") if p.name.isdigit()]
    if not steps:
        raise BadInput(
            f"--checkpoint={path}: holds no snapshot; give the --workdir of a run "
            "that has saved, or one folder of its snapshots/"
        )
    return max(steps, key=lambda p: int(p.name))


class Store:
    """The checkpoints and snapshots of one run's folder."""

    def __init__(self, workdir):
        """Opens, and makes if need be, the two folders under `workdir`."""
        workdir = pathlib.Path(workdir).absolute()
        self.folder = workdir / "checkpoints"
        self._checkpoints = _manager(self.folder, KEEP_CHECKPOINTS)
        self._snapshots = _manager(workdir / "snapshots", KEEP_SNAPSHOTS)

    def save(self, step, state, slow, info):
        """Starts saving; returns before the files are complete.

        Args:
          step: meta-steps done.
          state: pytree that training resumes from.
          slow: the slow parameters in it.
          info: JSON-able dict: `config`, `split` and more.
        """
        self._checkpoints.save(step, args=_arguments(state, info))
        self._snapshots.save(step, args=_arguments(slow, info))

    def latest(self):
        """Folder of the newest checkpoint, or None."""
        step = self._checkpoints.latest_step()
        return None if step is None else self.folder / str(step)

    def close(self):
        """Waits until everything is on disk."""
        self._checkpoints.close()
        self._snapshots.close()


def save_snapshot(workdir, step, slow, info):
    """Writes one snapshot into a run's folder: `workdir/snapshots/<step>`."""
    with _manager(pathlib.Path(workdir) / "snapshots", KEEP_SNAPSHOTS) as manager:
        manager.save(step, args=_arguments(slow, info))
