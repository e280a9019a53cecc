"""The format of checkpoints and snapshots on disk: the only importer of orbax.

A run's folder has `checkpoints/<step>` (`state`, all that training resumes from) and
`snapshots/<step>` (`slow`, the slow parameters, for sampling). With each travels an
info record: config, split, background, the format and the version that wrote it, a
checksum of every leaf, and one of the record itself; also the licence of the images and
some of held-out classes, so that a snapshot can be tried without its data set, and the
sessions of its run: command, commit and device of each.
"""

import errno
import os
import pathlib
import re
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

import figr_jax
from figr_jax import files
from figr_jax.errors import BadInput, FailedWork, is_out_of_memory, warn

KEEP = {"checkpoints": 2, "snapshots": 5}  # steps of each folder, the newest
# 2: the info record has a checksum of its own and the number of rewinds.
# 3: the state of the outer optimizer includes that of the decay of its rate.
_FORMAT = 3


def checksums(tree):
    """CRC-32 of every leaf's bytes, by its path in the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(leaf).tobytes())
        for path, leaf in leaves
    }


def make_manager(folder):
    """Builds the orbax manager of `checkpoints` or `snapshots`, which keeps some."""
    folder = pathlib.Path(folder).absolute()
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(KEEP[folder.name]),
        # Else processes that wait for each other in one would meet in the other.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            barrier_sync_key_prefix=folder.name
        ),
    )
    return ocp.CheckpointManager(folder, options=options)


def arguments(item, tree, info, step):
    """Builds what orbax saves of a step: arrays as `item`, and the info record."""
    info = dict(info, checksums=checksums(tree), step=step, format=_FORMAT)
    info["version"] = figr_jax.__version__
    info["own_checksum"] = files.json_checksum(info)
    arrays = {item: ocp.args.StandardSave(tree)}
    return ocp.args.Composite(info=ocp.args.JsonSave(info), **arrays)


def _restore(path, item, argument):
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        args = ocp.args.Composite(**{item: argument})
        return checkpointer.restore(pathlib.Path(path).absolute(), args)[item]


def _raise_passing(error):
    """Re-raises errors that mean "unreadable", not "corrupt"."""
    damage = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, None)
    if isinstance(error, OSError) and error.errno not in damage:
        raise error
    if is_out_of_memory(error):
        raise error


def read_info(path):
    """Reads the info record of one checkpoint or snapshot.

    Args:
      path: its folder.

    Returns:
      A dict with `config`, `split`, `background`, `checksums`, `version` and `format`.

    Raises:
      FailedWork: if it is damaged.
      BadInput: if a later version of this package wrote it.
    """
    try:
        info = _restore(path, "info", ocp.args.JsonRestore())
        if not {"config", "split", "background", "checksums", "version"} <= info.keys():
            raise KeyError("incomplete")
        if not {"dataset", "version", "heldout"} <= info["split"].keys():
            raise KeyError("split")
        float(info["background"])
    except Exception as error:  # orbax raises bare ones too
        _raise_passing(error)
        raise FailedWork(f"{path}: damaged, its info cannot be read") from error
    # Checked first, so it must mean the same in every format; the first had none.
    own = info.pop("own_checksum", None)
    is_first = "format" not in info and "rewinds" not in info
    if own != files.json_checksum(info) and not (own is None and is_first):
        raise FailedWork(f"{path}: damaged, its info is not what was written")
    if info.setdefault("format", 1) not in range(1, _FORMAT + 1):
        raise BadInput(
            f"{path}: figr_jax {info['version']} wrote it, in format {info['format']}; "
            f"this is {figr_jax.__version__}, which reads up to format {_FORMAT}: "
            "install that version"
        )
    return info


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
        _raise_passing(error)
        raise FailedWork(
            f"{path}: its arrays cannot be read: damaged, or of another version "
            f"(figr_jax {info['version']} wrote it)"
        ) from error
    if checksums(tree) != info["checksums"]:
        raise FailedWork(f"{path}: damaged, a checksum does not match")
    return tree


def list_steps(folder):
    """Lists the steps in `checkpoints` or `snapshots`, oldest first."""
    names = [path.name for path in folder.glob("*") if path.is_dir()]
    return sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]*|0", name))


def newest_good(folder, load):
    """Loads the newest step that is not damaged, and warns of those that are.

    A run may go on writing meanwhile.

    Args:
      folder: `pathlib.Path`, `checkpoints` or `snapshots` of a run.
      load: function of a step's folder; raises `FailedWork` if it is damaged.

    Returns:
      The step's folder and what `load` returned; None if there is no step.

    Raises:
      FailedWork: if all of them are damaged.
    """
    damaged = {}
    while steps := [step for step in list_steps(folder) if step not in damaged]:
        path = folder / str(steps[-1])
        try:
            return path, load(path)
        except FailedWork as error:
            damaged[steps[-1]] = error
            if path.exists():  # else the run has just replaced it by a newer one
                warn(f"{error}; going back to the one before")
    if damaged:
        raise FailedWork(f"{folder}: none of what was saved there can be read")
    return None


def load_slow(path, shapes, info):
    """Loads the slow parameters of a snapshot, see `load`."""
    return load(path, "slow", shapes, info)


def load_checkpoint(workdir, load):
    """Loads the newest good checkpoint of a run.

    Args:
      workdir: `pathlib.Path`, the run's folder.
      load: function of a checkpoint's folder; raises `FailedWork` if it is damaged.

    Returns:
      What `load` returned; None if the run has saved nothing.

    Raises:
      BadInput: if there are snapshots but no checkpoint to go on from.
      FailedWork: if all are damaged.
    """
    found = newest_good(workdir / "checkpoints", load)
    if not found and list_steps(workdir / "snapshots"):
        raise BadInput(
            f"--workdir={workdir}: holds snapshots but no checkpoint to resume "
            "from; give another folder"
        )
    return found and found[1]


def check_path(path, flag):
    """Refuses a folder that orbax would save to and then not find again.

    Raises:
      BadInput: names what its path must not have.
    """
    odd = set(str(pathlib.Path(path).absolute())) & set("[]?")
    if os.sep != "\\":
        odd |= set(str(path)) & {"\\"}
    if odd:
        raise BadInput(
            f"{flag}={path}: {' '.join(sorted(odd))} in a path keeps orbax from "
            "reading what it saves there; give another folder"
        )


def save_snapshot(workdir, step, slow, info):
    """Writes one snapshot into a new run's folder: `workdir/snapshots/<step>`.

    Raises:
      BadInput: if there are snapshots already.
    """
    folder = pathlib.Path(workdir) / "snapshots"
    if list_steps(folder):
        raise BadInput(f"--out={workdir}: already holds snapshots; give another folder")
    with make_manager(folder) as manager:
        manager.save(step, args=arguments("slow", slow, info, step))
