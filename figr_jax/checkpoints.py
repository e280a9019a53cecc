"""Training states and snapshots on disk: the only importer of orbax.

A run's folder has `checkpoints/<step>` (`state`, all that training resumes from) and
`snapshots/<step>` (`slow`, the slow parameters, for sampling). With each travels an
info record: config, split, background, the version that wrote it, and a checksum of
every leaf.
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


def _manager(folder, keep):
    folder = pathlib.Path(folder).absolute()
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(keep),
        # Else processes that wait for each other in one would meet in the other.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            barrier_sync_key_prefix=folder.name
        ),
    )
    return ocp.CheckpointManager(folder, options=options)


def _arguments(item, tree, info):
    info = dict(info, checksums=checksums(tree), version=figr_jax.__version__)
    arrays = {item: ocp.args.StandardSave(tree)}
    return ocp.args.Composite(info=ocp.args.JsonSave(info), **arrays)


def _restore(path, item, argument):
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        args = ocp.args.Composite(**{item: argument})
        return checkpointer.restore(pathlib.Path(path).absolute(), args)[item]


def read_info(path):
    """The info record of one checkpoint or snapshot.

    Args:
      path: its folder.

    Returns:
      A dict with `config`, `split`, `background`, `checksums` and `version`.

    Raises:
      FailedWork: if it cannot be read.
    """
    try:
        info = _restore(path, "info", ocp.args.JsonRestore())
        if not {"config", "split", "background", "checksums"} <= info.keys():
            raise KeyError("incomplete")
        return info
    except Exception as error:  # orbax raises bare ones too
        raise FailedWork(f"{path}: damaged, its info cannot be read") from error


def load(path, item, template, info):
    """Restores the arrays of one checkpoint or snapshot, and verifies them.

    Args:
      path: its folder.
      item: "state" of a checkpoint or "slow" of a snapshot.
      template: a pytree of arrays or shapes, as `jax.eval_shape` gives.
      info: its info record.

    Returns:
      A pytree like `template`, on the first local device.

    Raises:
      FailedWork: if it is damaged.
    """
    # Where the arrays were when they were saved does not matter.
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    template = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), template
    )
    try:
        tree = _restore(path, item, ocp.args.StandardRestore(template))
    except Exception as error:  # orbax raises bare ones too
        raise FailedWork(
            f"{path}: its arrays cannot be read: damaged, or of another version "
            f"(figr_jax {info.get('version')} wrote it)"
        ) from error
    if checksums(tree) != info["checksums"]:
        raise FailedWork(f"{path}: damaged, a checksum does not match")
    return tree


def _snapshot_steps(workdir):
    folders = pathlib.Path(workdir).glob("snapshots/*")
    return sorted(int(p.name) for p in folders if p.name.isdigit())


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
    if (path / "slow").is_dir():
        return path
    steps = _snapshot_steps(path)
    if not steps:
        raise BadInput(
            f"--checkpoint={path}: holds no snapshot; give the --workdir of a run "
            "that has saved, or one folder of its snapshots/"
        )
    return path / "snapshots" / str(steps[-1])


class Store:
    """The checkpoints and snapshots of one run's folder."""

    def __init__(self, workdir):
        """Opens, and makes if need be, the two folders under `workdir`.

        Raises:
          BadInput: if there are snapshots but no checkpoint to go on from.
        """
        self._folder = pathlib.Path(workdir).absolute() / "checkpoints"
        self._checkpoints = _manager(self._folder, KEEP_CHECKPOINTS)
        latest, steps = self.latest_step(), _snapshot_steps(workdir)
        if not latest and steps:
            raise BadInput(
                f"--workdir={workdir}: holds snapshots but no checkpoint to resume "
                "from; give another folder"
            )
        self._snapshots = _manager(self._folder.parent / "snapshots", KEEP_SNAPSHOTS)
        # Killed between the two saves of a step, a run has a snapshot too many.
        for step in steps:
            if step > latest:
                self._snapshots.delete(step)

    def save(self, step, state, slow, info):
        """Starts saving; returns before the files are complete.

        Args:
          step: meta-steps done.
          state: pytree that training resumes from.
          slow: the slow parameters in it.
          info: JSON-able dict: `config`, `split`, `background`.
        """
        self._checkpoints.save(step, args=_arguments("state", state, info))
        self._snapshots.save(step, args=_arguments("slow", slow, info))

    def latest_step(self):
        """Meta-steps done at the newest checkpoint, 0 if there is none."""
        return self._checkpoints.latest_step() or 0

    def latest(self):
        """Folder of the newest checkpoint."""
        return self._folder / str(self.latest_step())

    def close(self):
        """Waits until everything is on disk."""
        self._checkpoints.close()
        self._snapshots.close()


def save_snapshot(workdir, step, slow, info):
    """Writes one snapshot into a new run's folder: `workdir/snapshots/<step>`.

    Raises:
      BadInput: if there are snapshots already.
    """
    if _snapshot_steps(workdir):
        raise BadInput(f"--out={workdir}: already holds snapshots; give another folder")
    with _manager(pathlib.Path(workdir) / "snapshots", KEEP_SNAPSHOTS) as manager:
        manager.save(step, args=_arguments("slow", slow, info))
