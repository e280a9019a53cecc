"""What a run tells while it works: narration, metrics.jsonl, TensorBoard events."""

import importlib
import json
from typing import NamedTuple

import numpy as np

from figr_jax import files
from figr_jax.errors import BadInput


def say(text):
    """Prints a line of narration at once."""
    print(text, flush=True)


class Seconds(NamedTuple):
    """Where the time of a block of meta-steps went."""

    computing: float
    waiting: float  # for episodes
    between: float  # since the block before: logging, sample grids, saving


class RunLog:
    """Logs the blocks of meta-steps of one run."""

    def __init__(self, workdir, step, meta_steps, tensorboard):
        """Opens the log of a run that goes on from meta-step `step`.

        Args:
          workdir: `pathlib.Path`, the run's folder.
          step: meta-steps done; records of later ones are dropped, they come again.
          meta_steps: of the whole run.
          tensorboard: whether to write TensorBoard events too.

        Raises:
          BadInput: if TensorBoard events are asked for and their writer is missing.
        """
        self._path = workdir / "metrics.jsonl"
        self._meta_steps = meta_steps
        self._done, self._spent = 0, np.zeros(3)  # in this process
        self._events = _event_writer(workdir, step) if tensorboard else None
        if self._path.exists():
            lines = self._path.read_text().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # not cut by a kill
            kept = [line for line in whole if json.loads(line)["step"] <= step]
            files.write_bytes(self._path, "".join(kept).encode())

    def block(self, step, record, count, seconds):
        """Logs a block.

        Args:
          step: meta-steps done.
          record: dict of floats, means over the block.
          count: meta-steps in this block.
          seconds: `Seconds`.
        """
        rate = count / (seconds.computing + seconds.waiting)
        shares = {
            "waiting_for_episodes": seconds.waiting / sum(seconds),
            "between_blocks": seconds.between / sum(seconds),
        }
        line = {"step": step, **record, "meta_steps_per_second": rate, **shares}
        with open(self._path, "a") as file:
            file.write(json.dumps(line) + "\n")
        if self._events:
            for name, value in record.items():
                self._events.add_scalar(name, value, step)
        self._done += count
        self._spent += seconds
        left = self._spent.sum() / self._done * (self._meta_steps - step)
        minutes, seconds_left = divmod(round(left), 60)
        say(
            f"meta-step {step}/{self._meta_steps}  critic {record['critic_loss']:.3f}  "
            f"generator {record['generator_loss']:.3f}  penalty "
            f"{record['gradient_penalty']:.3f}  {rate:.2f} meta-steps/s  "
            f"{minutes}:{seconds_left:02d} left"
        )

    def finish(self, between):
        """Tells where the time of this process's meta-steps went.

        Args:
          between: seconds since the last block.
        """
        self._spent[2] += between
        _, waiting, between = self._spent / self._spent.sum()
        say(
            f"of the time, {waiting:.1%} waiting for episodes and {between:.1%} "
            "between blocks (logging, sample grids, saving)"
        )

    def close(self):
        """Writes what is still in memory."""
        if self._events:
            self._events.close()


def _event_writer(workdir, step):
    try:
        module = importlib.import_module("tensorboardX")
    except ImportError as error:
        raise BadInput(
            "--config.run.tensorboard=True: needs `pip install -e '.[tensorboard]'`"
        ) from error
    # Events of later steps are dropped, as in metrics.jsonl.
    return module.SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)
