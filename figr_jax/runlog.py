"""What a run tells while it works: narration, metrics.jsonl, TensorBoard events."""

import importlib
import json
import time

from figr_jax import files
from figr_jax.errors import BadInput


def say(text):
    """Prints a line of narration at once."""
    print(text, flush=True)


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
        self._first, self._meta_steps = step, meta_steps
        self._events = _event_writer(workdir) if tensorboard else None
        self._begin = time.perf_counter()
        if self._path.exists():
            lines = self._path.read_text().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # not cut by a kill
            kept = [line for line in whole if json.loads(line)["step"] <= step]
            files.write_bytes(self._path, "".join(kept).encode())

    def block(self, step, record, rate):
        """Logs a block.

        Args:
          step: meta-steps done.
          record: dict of floats, means over the block.
          rate: meta-steps a second in this block.
        """
        line = {"step": step, **record, "meta_steps_per_second": rate}
        with open(self._path, "a") as file:
            file.write(json.dumps(line) + "\n")
        if self._events:
            for name, value in record.items():
                self._events.add_scalar(name, value, step)
        elapsed = time.perf_counter() - self._begin
        left = elapsed / (step - self._first) * (self._meta_steps - step)
        minutes, seconds = divmod(round(left), 60)
        say(
            f"meta-step {step}/{self._meta_steps}  critic {record['critic_loss']:.3f}  "
            f"generator {record['generator_loss']:.3f}  penalty "
            f"{record['gradient_penalty']:.3f}  {rate:.2f} meta-steps/s  "
            f"{minutes}:{seconds:02d} left"
        )

    def close(self):
        """Writes what is still in memory."""
        if self._events:
            self._events.close()


def _event_writer(workdir):
    try:
        module = importlib.import_module("tensorboardX")
    except ImportError as error:
        raise BadInput(
            "--config.run.tensorboard=True: needs `pip install -e '.[tensorboard]'`"
        ) from error
    return module.SummaryWriter(str(workdir / "tensorboard"))
