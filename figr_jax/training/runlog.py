"""The log of a run: progress lines, metrics.jsonl, TensorBoard events."""

import errno
import importlib
import json
import os
from typing import NamedTuple

import numpy as np
import tqdm

from figr_jax.common import files
from figr_jax.common.errors import BadInput, say, warn


class Seconds(NamedTuple):
    """Seconds of a block of meta-steps, by activity."""

    computing: float
    waiting: float  # for episodes
    between: float  # since the block before: logging, sample grids, saving


class RunLog:
    """Logs the blocks of meta-steps of one run."""

    def __init__(self, workdir, step, meta_steps, tensorboard):
        """Opens the log of a run that continues from meta-step `step`.

        Args:
          workdir: `pathlib.Path`, the run's folder.
          step: meta-steps done, see `go_back`.
          meta_steps: meta-steps of the whole run.
          tensorboard: whether to write TensorBoard events too.

        Raises:
          BadInput: if TensorBoard events are asked for and their writer is missing.
        """
        self._workdir, self._meta_steps = workdir, meta_steps
        self._path = workdir / "metrics.jsonl"
        self._unwritten = []  # lines that could not be written yet
        self._done, self._spent = 0, np.zeros(3)  # in this process
        self._events = None
        self._make_events = _event_writer() if tensorboard else None
        self.go_back(step)

    def go_back(self, step):
        """Drops the records of meta-steps after `step`, which will be repeated."""
        self._unwritten = [line for line in self._unwritten if _is_until(line, step)]
        if self._path.exists():
            text = self._path.read_text(errors="replace")
            lines = text.splitlines(keepends=True)
            kept = [line for line in lines if _is_until(line, step)]
            files.write_bytes(self._path, "".join(kept).encode())
        if self._make_events:
            self.close()
            self._events = self._make_events(
                str(self._workdir / "tensorboard"), purge_step=step + 1
            )

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
        speed = {"meta_steps_per_second": rate, **shares}
        self._record(step, record, speed)
        self._done += count
        self._spent += seconds
        left = self._spent.sum() / self._done * (self._meta_steps - step)
        say(
            f"meta-step {step}/{self._meta_steps}  critic {record['critic_loss']:.3f}  "
            f"generator {record['generator_loss']:.3f}  penalty "
            f"{record['gradient_penalty']:.3f}  {rate:.2f} meta-steps/s  "
            f"{tqdm.tqdm.format_interval(left)} left"
        )

    def evaluation(self, step, record):
        """Logs the metrics of an evaluation.

        Args:
          step: meta-steps done.
          record: dict of floats.
        """
        self._record(step, record)
        metrics = "  ".join(f"{name} {value:.3f}" for name, value in record.items())
        say(f"meta-step {step}, evaluation: {metrics}")

    def _record(self, step, record, speed=()):
        line = {"step": step, **record, **dict(speed)}
        self._unwritten.append(json.dumps(line) + "\n")
        self._write()
        if self._events:
            for name, value in record.items():
                self._events.add_scalar(name, value, step)

    def _write(self):
        """Appends the unwritten lines to the file, all or none."""
        try:
            # Unbuffered, so that a failure is raised here.
            with open(self._path, "ab", buffering=0) as file:
                end = file.tell()
                data = "".join(self._unwritten).encode()
                if file.write(data) < len(data):
                    file.truncate(end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            warn(f"{self._path}: {error.strerror}; will retry")
        else:
            self._unwritten = []

    def finish(self, between):
        """Prints how this process spent the time of its meta-steps.

        Args:
          between: seconds since the last block.
        """
        self._spent[2] += between
        _, waiting, between = self._spent / self._spent.sum()
        say(
            f"{waiting:.1%} of the time was spent waiting for episodes, {between:.1%} "
            "between blocks (logging, sample grids, saving)"
        )

    def close(self):
        """Writes the remaining lines and closes the event file."""
        if self._unwritten:
            self._write()
        if self._events:
            self._events.close()


def _is_until(line, step):
    """Returns whether a line is a complete record of a meta-step up to `step`."""
    try:
        return line.endswith("\n") and json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False  # cut by a kill, or damaged


def _event_writer():
    try:
        return importlib.import_module("tensorboardX").SummaryWriter
    except ImportError as error:
        raise BadInput(
            "--config.run.tensorboard=True: needs `pip install -e '.[tensorboard]'`"
        ) from error
