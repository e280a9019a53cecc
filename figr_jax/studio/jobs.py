"""Jobs: a queue that runs slow work one at a time and records its events."""

import collections
import json
import secrets
import threading
import time

from figr_jax.common.errors import BadInput, FailedWork, is_out_of_memory, warn

_KEPT = 64  # finished jobs
_SECONDS = 120  # time limit of a job
LAST = ("done", "failed", "cancelled")  # types of the last event


class Full(Exception):
    """Error: too many jobs are waiting."""


class Job:
    """A job: its work, and its events so far.

    Attributes:
      id: a random secret that gives access to the job.
      events: dicts with a `type`; the last one is `done`, `failed` or `cancelled`.
      result: the result of the work, or None.
      size: size of the events, bytes.
      parts: dict: id of a large part of the result to its size, bytes. Results of
        several jobs may share parts.
    """

    def __init__(self, work):
        """Stores `work`, a function of the job that yields events."""
        self.id = secrets.token_urlsafe(16)
        self.events = []
        self.result, self.size, self.parts = None, 0, {}
        self._work = work
        self._cancelled = threading.Event()

    @property
    def is_over(self):
        """True once the last event is recorded."""
        return bool(self.events) and self.events[-1]["type"] in LAST

    def cancel(self):
        """Asks the work to stop at its next event."""
        self._cancelled.set()

    def run(self, seconds):
        """Runs the work, for at most `seconds` seconds."""
        begin, last = time.monotonic(), {"type": "done"}
        try:
            if not self._cancelled.is_set():
                for event in self._work(self):
                    self.size += len(json.dumps(event))
                    self.events.append(event)
                    if self._cancelled.is_set():
                        break
                    if time.monotonic() - begin > seconds:
                        raise FailedWork(
                            f"the job took more than {seconds} seconds; try again with "
                            "fewer steps"
                        )
        except (BadInput, FailedWork) as error:
            last = {"type": "failed", "error": str(error)}
        except Exception as error:  # a failed job must not stop the server
            warn(f"a job failed: {type(error).__name__}: {error}")
            reason = "out of memory" if is_out_of_memory(error) else "internal error"
            last = {"type": "failed", "error": reason}
        if self._cancelled.is_set():
            last = {"type": "cancelled"}
        self._work = None  # frees what it refers to
        self.events.append(last)


def _measure(jobs):
    """Returns the size of jobs, bytes; a part that several share counts once."""
    parts = {}
    for job in jobs:
        parts |= job.parts
    return sum(job.size for job in jobs) + sum(parts.values())


class Queue:
    """A queue that runs jobs one after another and keeps the last ones."""

    def __init__(self, waiting=64, kept_bytes=2**29):
        """Sets the limits.

        Args:
          waiting: largest number of waiting jobs.
          kept_bytes: largest total size of finished jobs; the newest one always stays.
        """
        self._waiting, self._kept_bytes = waiting, kept_bytes
        self._jobs = collections.OrderedDict()
        self._line = collections.deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, work):
        """Queues a `Job` of `work`.

        Raises:
          Full: if too many jobs are waiting.
        """
        with self._changed:
            if len(self._line) >= self._waiting:
                raise Full
            self._forget()
            job = Job(work)
            self._jobs[job.id] = job
            self._line.append(job)
            self._changed.notify()
        return job

    def _forget(self):
        over = [job for job in self._jobs.values() if job.is_over]
        while len(over) > _KEPT or (
            len(over) > 1 and _measure(over) > self._kept_bytes
        ):
            del self._jobs[over.pop(0).id]

    def get(self, id):
        """Returns the `Job` with this id, or None; requested jobs are kept longer."""
        with self._changed:
            if id in self._jobs:
                self._jobs.move_to_end(id)
            return self._jobs.get(id)

    def cancel(self, job):
        """Cancels a job: at its next event, or at once if it is waiting."""
        job.cancel()
        with self._changed:
            waits = job in self._line and job is not self._line[0]
            if waits:
                self._line.remove(job)
        if waits:
            job.run(_SECONDS)  # ends at once, with the event `cancelled`

    def ahead(self, job):
        """Returns the number of jobs ahead of this one."""
        with self._changed:
            return self._line.index(job) if job in self._line else 0

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._line)
                job = self._line[0]
            job.run(_SECONDS)
            with self._changed:
                self._line.popleft()
