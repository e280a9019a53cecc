"""The store of a run: saves its checkpoints and snapshots while it trains."""

import contextlib
import ctypes
import shutil

import jax
import numpy as np
from jax.experimental import multihost_utils

from figr_jax import checkpoints
from figr_jax.common import files
from figr_jax.common.errors import FailedWork, warn


def _return_memory():
    """Returns freed memory to the system.

    Each save starts new threads, and glibc keeps the memory that they free in their
    arenas. Without this call, the memory of a long run would grow.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


class Store:
    """Saves the checkpoints and snapshots of one run."""

    def __init__(self, workdir, step):
        """Opens the two folders under `workdir`, which are created if needed.

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
        """Removes all saves after `step`, whose meta-steps will be repeated.

        Later checkpoints are damaged ones and move to `damaged/`. Later snapshots are
        deleted.
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
            for later in checkpoints.list_steps(folder):
                path = folder / str(later)
                if later > step and name == "snapshots":
                    shutil.rmtree(path)
                elif later > step:
                    aside = self._folder / "damaged" / path.name
                    shutil.rmtree(aside, ignore_errors=True)
                    aside.parent.mkdir(exist_ok=True)
                    path.rename(aside)

    def check_snapshot(self, step, slow, sampling):
        """Deletes a stale or corrupt snapshot of a step, so that `save` rewrites it.

        Args:
          step: meta-steps done.
          slow: the slow parameters of that step.
          sampling: JSON-able, the config's section `sampling`, which may change without
            new training. A snapshot with another one is stale.
        """
        path = self._folder / "snapshots" / str(step)
        if not path.exists():
            return
        try:
            info = checkpoints.read_info(path)
            checkpoints.load(path, "slow", slow, info)
            if info["config"].get("sampling") == sampling:
                return
        except FailedWork as error:
            warn(f"{error}; rewritten from the checkpoint")
        several = jax.process_count() > 1
        if several:  # all must read it before it is deleted
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
          info: JSON-able dict, see `record.make_info`, with `rewinds`.

        Raises:
          FailedWork: if this save and the one before failed.
        """
        self.wait()
        trees = {"checkpoints": ("state", state), "snapshots": ("slow", slow)}
        self._saving = step
        try:
            self._probe()
            for name, (item, tree) in trees.items():
                if name not in self._managers:
                    self._managers[name] = checkpoints.make_manager(self._folder / name)
                if step not in self._managers[name].all_steps():
                    args = checkpoints.arguments(item, tree, info, step)
                    self._managers[name].save(step, args=args)
        except Exception as error:  # orbax raises bare ones too
            self._fail(error)

    def _probe(self):
        """Raises if a folder cannot be written, where orbax would hang for minutes."""
        failure = None
        if jax.process_index() == 0:
            # A thread of a failed save may have created its folder after `_fail`.
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
        """Waits until the last save is on disk.

        Returns:
          Whether it succeeded; if not, a warning was printed.

        Raises:
          FailedWork: if this save and the one before failed.
        """
        if self._saving is None:
            return not self._failures
        try:
            for manager in self._managers.values():
                manager.wait_until_finished()
            for name in self._managers:
                with contextlib.suppress(OSError):  # removed meanwhile, or no fsync
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
            self._tidy(step)  # its remains may fill the disk
        tail = str(error).rsplit(": ", 1)[-1].partition(" [")[0]
        reason = getattr(error, "strerror", None) or tail
        line = f"the checkpoint of meta-step {step} cannot be saved: {reason}"
        if self._failures > 1:
            raise FailedWork(f"{line}; {self.describe_newest()}") from error
        warn(f"{line}; training continues, the next one may succeed")

    def describe_newest(self):
        """Describes the checkpoint that a run would resume from."""
        steps = checkpoints.list_steps(self._folder / "checkpoints")
        if not steps:
            return "there is no checkpoint yet"
        return (
            f"the newest checkpoint is {self._folder / 'checkpoints' / str(steps[-1])}"
        )

    def close(self):
        """Stops the save threads; call `wait` first to learn whether they succeeded."""
        for manager in self._managers.values():
            with contextlib.suppress(Exception):  # reported by `wait`
                manager.close()
        self._managers = {}  # new ones do not wait for a failed save
