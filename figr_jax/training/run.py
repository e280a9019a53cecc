"""A run in progress: the files in its folder, and its messages."""

import contextlib
import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from figr_jax.common import errors, files
from figr_jax.common.errors import say, warn
from figr_jax.data import bank as banks
from figr_jax.evaluation import light
from figr_jax.training import lock, runlog, sample_grid
from figr_jax.training.store import Store


@dataclasses.dataclass(frozen=True)
class Run:
    """The parts of a run that stay the same in all blocks.

    Attributes:
      cfg: the run's config.
      workdir: its folder.
      mesh: devices that share the tasks of a meta-step.
      bank: `bank.Bank`.
      classes: `[allowed]` indices of the training classes.
      heldout: `[held out]` indices of the held-out classes.
      info: record that travels with a checkpoint, without the rewinds.
      store: store of its checkpoints and snapshots.
      log: log, in the first process; None in others.
      writer: lock of the folder, in the first process; None in others.
      evaluator: None unless `run.evaluate_every` asks for it.
    """

    cfg: Any
    workdir: pathlib.Path
    mesh: jax.sharding.Mesh
    bank: banks.Bank
    classes: np.ndarray
    heldout: np.ndarray
    info: dict
    store: Store
    log: runlog.RunLog | None
    writer: lock.SoleWriter | None
    evaluator: light.Light | None

    def save(self, state, rewinds):
        """Starts saving a checkpoint and a snapshot of `reptile.ReptileState`."""
        if self.writer:
            self.renew()
        info = {**self.info, "rewinds": rewinds}
        self.store.save(int(state.step), state, state.slow, info)

    def renew(self):
        """Recreates the run's folder if needed and acquires its lock again."""
        try:
            if self.writer.renew():
                self.describe()
        except OSError as error:
            warn(f"{self.workdir}: {error}")

    def describe(self):
        """Writes config.json and split.json."""
        for name in ("config", "split"):
            files.write_json(self.workdir / f"{name}.json", self.info[name])

    def sample(self, state):
        """Writes a sample grid, in the first process."""
        if not self.log:
            return
        with _downgrade(f"no sample grid at meta-step {int(state.step)}"):
            sample_grid.write(self.workdir, state, self.info, self.bank, self.heldout)

    def evaluate(self, state):
        """Measures held-out classes and logs the metrics, in the first process."""
        if not self.log:
            return
        with _downgrade(f"not evaluated at meta-step {int(state.step)}"):
            metrics = self.evaluator(sample_grid.of_one_device(state.slow))
            self.log.evaluation(int(state.step), metrics)

    def introduce(self, state):
        """Prints the sizes of the data and of the networks."""
        bank, networks = self.bank, self.cfg.networks
        generator, critic = (
            sum(leaf.size for leaf in jax.tree.leaves(params)) for params in state.slow
        )
        say(
            f"{bank.dataset} {bank.version}: {len(bank.images):,} images of "
            f"{len(bank.names):,} classes, {len(self.heldout)} held out"
        )
        say(
            f"{networks.family}, width {networks.width}: generator {generator:,} "
            f"parameters, critic {critic:,}; on {self.mesh.size} of "
            f"{jax.device_count()} devices ({jax.devices()[0].device_kind})"
        )


@contextlib.contextmanager
def _downgrade(message):
    """Downgrades failed writes and out-of-memory errors to warnings."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not errors.is_out_of_memory(error):
            raise
        warn(f"{message}: {error}")
