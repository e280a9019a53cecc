"""Training states and snapshots on disk: the only importer of orbax.

A run's folder has `checkpoints/<step>` (`state`, all that training resumes from) and
`snapshots/<step>` (`slow`, the slow parameters, for sampling). With each travels an
info record: config, split, background, the format and the version that wrote it, a
checksum of every leaf, and one of the record itself; also the licence of the images and
some of held-out classes, so that a snapshot can be tried without its data set, and the
sessions of its run: command, commit and device of each.
"""

import contextlib
import ctypes
import errno
import pathlib
import re
import shutil
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

import figr_jax
from figr_jax import files
from figr_jax.errors import BadInput, FailedWork, is_out_of_memory, warn

KEEP_CHECKPOINTS = 2
KEEP_SNAPSHOTS = 5
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


def _return_memory():
    """Hands freed memory back to the system.

    The threads of a save come and go, and glibc keeps what each has freed for the next
    thread that happens to get its arena: a long run would grow.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _arguments(item, tree, info, step):
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
    """Raises what does not tell that a file is damaged, but that it cannot be read."""
    damage = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, None)
    if isinstance(error, OSError) and error.errno not in damage:
        raise error
    if is_out_of_memory(error):
        raise error


def read_info(path):
    """The info record of one checkpoint or snapshot.

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
        if info["split"].keys() != {"dataset", "version", "heldout"}:
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
    if odd := set(str(pathlib.Path(path).absolute())) & set("[]?"):
        raise BadInput(
            f"{flag}={path}: {' '.join(sorted(odd))} in a path keeps orbax from "
            "reading what it saves there; give another folder"
        )


class Store:
    """Saves the checkpoints and snapshots of one run."""

    def __init__(self, workdir, step):
        """Opens, and makes if need be, the two folders under `workdir`.

        Args:
          workdir: `pathlib.Path`, the run's folder.
          step: meta-steps done, see `go_back`.
        """
        self._folder = workdir.absolute()
        self._managers = {}
        self._saving = None  # the step being saved
        self._failures = 0  # in a row
        self.go_back(step)

    def go_back(self, step):
        """Makes room for the meta-steps after `step`, which come again.

        A later checkpoint was found damaged: it is moved to `damaged/`. A later
        snapshot is deleted.
        """
        self.close()
        if jax.process_index() == 0:
            self._tidy(step)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("tidy")

    def _remove_unfinished(self):
        for path in self._folder.glob("*/*.orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)

    def _tidy(self, step):
        self._remove_unfinished()
        for name in ("checkpoints", "snapshots"):
            folder = self._folder / name
            for later in list_steps(folder):
                path = folder / str(later)
                if later > step and name == "snapshots":
                    shutil.rmtree(path)
                elif later > step:
                    aside = self._folder / "damaged" / path.name
                    shutil.rmtree(aside, ignore_errors=True)
                    aside.parent.mkdir(exist_ok=True)
                    path.rename(aside)

    def check_snapshot(self, step, slow, sampling):
        """Removes a step's snapshot if it cannot stay, so that `save` makes it anew.

        Args:
          step: meta-steps done.
          slow: the slow parameters of that step.
          sampling: JSON-able, the config's section of that name. What a snapshot says
            of it is no part of what was trained.
        """
        path = self._folder / "snapshots" / str(step)
        if not path.exists():
            return
        try:
            info = read_info(path)
            load(path, "slow", slow, info)
            if info["config"].get("sampling") == sampling:
                return
        except FailedWork as error:
            warn(f"{error}; written anew from the checkpoint")
        several = jax.process_count() > 1
        if several:  # before it is gone, all have looked
            multihost_utils.sync_global_devices("looked")
        if jax.process_index() == 0:
            shutil.rmtree(path)
        if several:
            multihost_utils.sync_global_devices("mend")

    def save(self, step, state, slow, info):
        """Starts saving; returns before the files are complete.

        Args:
          step: meta-steps done.
          state: pytree that training resumes from.
          slow: the slow parameters in it.
          info: JSON-able dict: `config`, `split`, `background`, `rewinds`.

        Raises:
          FailedWork: if it failed, and the save before too.
        """
        self.wait()
        trees = {"checkpoints": ("state", state), "snapshots": ("slow", slow)}
        keep = {"checkpoints": KEEP_CHECKPOINTS, "snapshots": KEEP_SNAPSHOTS}
        self._saving = step
        try:
            self._probe()
            for name, (item, tree) in trees.items():
                if name not in self._managers:
                    self._managers[name] = _manager(self._folder / name, keep[name])
                if step not in self._managers[name].all_steps():
                    args = _arguments(item, tree, info, step)
                    self._managers[name].save(step, args=args)
        except Exception as error:  # orbax raises bare ones too
            self._fail(error)

    def _probe(self):
        """Fails where orbax would: there, threads would wait for minutes."""
        failure = None
        if jax.process_index() == 0:
            # A thread of a save that failed may have made its folder after `_fail`.
            self._remove_unfinished()
            try:
                for name in ("checkpoints", "snapshots"):
                    probe = self._folder / name / ".probe"
                    probe.mkdir(parents=True, exist_ok=True)
                    probe.rmdir()
            except OSError as error:
                failure = error
        failed = failure is not None
        if jax.process_count() > 1:
            failed = bool(multihost_utils.broadcast_one_to_all(np.array(failed)))
        if failed:
            raise failure or OSError("the first process cannot write")

    def wait(self):
        """Waits until what was saved is on disk.

        Returns:
          Whether it is; if not, a warning was given.

        Raises:
          FailedWork: if the save failed, and the one before too.
        """
        if self._saving is None:
            return not self._failures
        try:
            for manager in self._managers.values():
                manager.wait_until_finished()
            for name in self._managers:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    files.sync(self._folder / name / str(self._saving))
        except Exception as error:
            self._fail(error)
            return False
        self._saving, self._failures = None, 0
        _return_memory()
        return True

    def _fail(self, error):
        step, self._saving = self._saving, None
        self._failures += 1
        self.close()
        if jax.process_index() == 0:
            self._tidy(step)  # what remains of it may fill the disk
        tail = str(error).rsplit(": ", 1)[-1].partition(" [")[0]
        reason = getattr(error, "strerror", None) or tail
        line = f"the checkpoint of meta-step {step} cannot be saved: {reason}"
        if self._failures > 1:
            raise FailedWork(f"{line}; {self.describe_newest()}") from error
        warn(f"{line}; training goes on, the next one may succeed")

    def describe_newest(self):
        """Says which checkpoint a run would go on from."""
        steps = list_steps(self._folder / "checkpoints")
        if not steps:
            return "nothing was saved before"
        return (
            f"the newest checkpoint is {self._folder / 'checkpoints' / str(steps[-1])}"
        )

    def close(self):
        """Ends the threads that save; `wait` tells whether they were done."""
        for manager in self._managers.values():
            with contextlib.suppress(Exception):  # told by `wait`
                manager.close()
        self._managers = {}  # new ones know nothing of a save that failed


def save_snapshot(workdir, step, slow, info):
    """Writes one snapshot into a new run's folder: `workdir/snapshots/<step>`.

    Raises:
      BadInput: if there are snapshots already.
    """
    folder = pathlib.Path(workdir) / "snapshots"
    if list_steps(folder):
        raise BadInput(f"--out={workdir}: already holds snapshots; give another folder")
    with _manager(folder, KEEP_SNAPSHOTS) as manager:
        manager.save(step, args=_arguments("slow", slow, info, step))
