"""The format of checkpoints and snapshots on disk: the only importer of orbax.

A run's folder holds `checkpoints/<step>` (`state`, all that training resumes from) and
`snapshots/<step>` (`slow`, the slow parameters, for sampling). Each has an info record:
config, split, background, the format and version of its writer, a checksum of every
leaf and one of the record itself. To try a snapshot without its data set, the record
has the licence of the images and some images of held-out classes. It also lists the
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
from figr_jax.common import files
from figr_jax.common.errors import BadInput, FailedWork, is_out_of_memory, warn

KEEP = {"checkpoints": 2, "snapshots": 5}  # newest steps kept in each folder
# 2: the info record has a checksum of its own and the number of rewinds.
# 3: the state of the outer optimizer includes the state of its learning-rate decay.
_FORMAT = 3


def checksums(tree):
    """Computes the CRC-32 of every leaf's bytes, by its path in the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.ascontiguousarray(leaf).tobytes())
        for path, leaf in leaves
    }


def make_manager(folder):
    """Builds the orbax manager of `checkpoints` or `snapshots`; it keeps the newest."""
    folder = pathlib.Path(folder).absolute()
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocp.checkpoint_managers.LatestN(KEEP[folder.name]),
        # Keeps the barriers of the two managers apart.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            barrier_sync_key_prefix=folder.name
        ),
    )
    return ocp.CheckpointManager(folder, options=options)


def arguments(item, tree, info, step):
    """Builds orbax's arguments for a step: arrays as `item`, and the info record."""
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
    # Checked before the format is known, so all formats share it; format 1 has none.
    own = info.pop("own_checksum", None)
    is_first = "format" not in info and "rewinds" not in info
    if own != files.json_checksum(info) and not (own is None and is_first):
        raise FailedWork(f"{path}: damaged, its info does not match its checksum")
    if info.setdefault("format", 1) not in range(1, _FORMAT + 1):
        raise BadInput(
            f"{path}: written by figr_jax {info['version']} in format "
            f"{info['format']}; this is {figr_jax.__version__}, which reads formats up "
            f"to {_FORMAT}. Install that version"
        )
    return info


def load(path, item, template, info):
    """Restores and verifies the arrays of one checkpoint or snapshot.

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
    # Ignores the devices that the arrays were saved from.
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    template = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), template
    )
    try:
        tree = _restore(path, item, ocp.args.StandardRestore(template))
    except Exception as error:  # orbax raises bare ones too
        _raise_passing(error)
        raise FailedWork(
            f"{path}: its arrays cannot be read: damaged, or written by another "
            f"version (figr_jax {info['version']})"
        ) from error
    if checksums(tree) != info["checksums"]:
        raise FailedWork(f"{path}: damaged, a checksum does not match")
    return tree


def list_steps(folder):
    """Lists the steps in `checkpoints` or `snapshots`, oldest first."""
    names = [path.name for path in folder.glob("*") if path.is_dir()]
    return sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]*|0", name))


def newest_good(place, find, load):
    """Loads the newest intact save, and warns of newer, damaged ones.

    Args:
      place: folder of the saves, for messages.
      find: function that lists the paths of the saves, newest first. It is called again
        after each damaged one, because a run may save and delete meanwhile.
      load: function of a save; raises `FailedWork` if it is damaged.

    Returns:
      The result of `load`; None if there is no save.

    Raises:
      FailedWork: if all of them are damaged.
    """
    damaged = {}
    while left := [path for path in find() if path not in damaged]:
        try:
            return load(left[0])
        except FailedWork as error:
            damaged[left[0]] = error
            if len(left) > 1 and left[0].exists():  # otherwise a newer one replaced it
                warn(f"{error}; trying the one before")
    if len(damaged) == 1:
        raise next(iter(damaged.values()))
    if damaged:
        raise FailedWork(f"{place}: all that was saved there is damaged")
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
      The result of `load`; None if the run has saved nothing.

    Raises:
      BadInput: if there are snapshots but no checkpoint to resume from.
      FailedWork: if all are damaged.
    """
    folder = workdir / "checkpoints"
    newest = newest_good(
        folder,
        lambda: [folder / str(step) for step in reversed(list_steps(folder))],
        load,
    )
    if newest is None and list_steps(workdir / "snapshots"):
        raise BadInput(
            f"--workdir={workdir}: holds snapshots but no checkpoint to resume "
            "from; give another folder"
        )
    return newest


def check_path(path, flag):
    """Rejects a folder that orbax could save to but not read from.

    Raises:
      BadInput: names the characters that its path must not have.
    """
    odd = set(str(pathlib.Path(path).absolute())) & set("[]?")
    if os.sep != "\\":
        odd |= set(str(path)) & {"\\"}
    if odd:
        raise BadInput(
            f"{flag}={path}: orbax cannot read from a path with "
            f"{' '.join(sorted(odd))}; give another folder"
        )


def save_snapshot(workdir, step, slow, info):
    """Writes one snapshot into a new run's folder: `workdir/snapshots/<step>`.

    Raises:
      BadInput: if the folder holds snapshots already.
    """
    folder = pathlib.Path(workdir) / "snapshots"
    if list_steps(folder):
        raise BadInput(f"--out={workdir}: already holds snapshots; give another folder")
    with make_manager(folder) as manager:
        manager.save(step, args=arguments("slow", slow, info, step))
