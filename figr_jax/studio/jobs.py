"""Jobs: work that takes seconds, one after another, and what is told about it."""

import collections
import json
import secrets
import threading
import time

from figr_jax.errors import BadInput, FailedWork, is_out_of_memory, warn

LAST = ("done", "failed", "cancelled")  # types of an event after which none comes


class Full(Exception):
    """There are too many jobs waiting already."""


class Job:
    """Some work, and what it has told so far.

    Attributes:
      id: not to be guessed: who knows it may see the job.
      events: dicts with a `type`; the last one is `done`, `failed` or `cancelled`.
      result: what the work left for later, or None.
      size: of the result, and of what was told, bytes.
    """

    def __init__(self, work, size):
        """Takes `work`, a function of the job that yields events, and `size`."""
        self.id = secrets.token_urlsafe(16)
        self.events = []
        self.result, self.size = None, size
        self._work = work
        self._cancelled = threading.Event()

    @property
    def is_over(self):
        """True once the last event has been sent."""
        return bool(self.events) and self.events[-1]["type"] in LAST

    def cancel(self):
        """Asks the work to stop at its next event."""
        self._cancelled.set()

    def run(self, seconds):
        """Does the work, for at most so many seconds."""
        begin, last = time.monotonic(), {"type": "done"}
        try:
            if not self._cancelled.is_set():
                for event in self._work(self):
                    self.size += len(json.dumps(event))
                    self.events.append(event)
                    if self._cancelled.is_set():
                        break
                    if time.monotonic() - begin > seconds:
                        raise FailedWork(f"it took more than {seconds} seconds")
        except (BadInput, FailedWork) as error:
            last = {"type": "failed", "error": str(error)}
        except Exception as error:  # the server goes on, whatever a job meets
            warn(f"a job failed: {type(error).__name__}: {error}")
            reason = "out of memory" if is_out_of_memory(error) else "internal error"
            last = {"type": "failed", "error": reason}
        if self._cancelled.is_set():
            last = {"type": "cancelled"}
        self._work = None  # and all that it holds
        self.events.append(last)


class Queue:
    """Runs jobs one after another and remembers the last ones."""

    def __init__(self, waiting=64, kept=64, kept_bytes=2**29, seconds=120):
        """Sets the bounds.

        Args:
          waiting: jobs that may wait.
          kept: jobs remembered after they are over.
          kept_bytes: of their results, beyond the last one.
          seconds: that a job may take.
        """
        self._waiting, self._seconds = waiting, seconds
        self._kept, self._kept_bytes = kept, kept_bytes
        self._jobs = collections.OrderedDict()
        self._line = collections.deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, work, size=0):
        """Lines up a `Job` of `work`, which will leave `size` bytes.

        Raises:
          Full: if too many wait.
        """
        with self._changed:
            if len(self._line) >= self._waiting:
                raise Full
            self._forget()
            job = Job(work, size)
            self._jobs[job.id] = job
            self._line.append(job)
            self._changed.notify()
        return job

    def _forget(self):
        over = [job for job in self._jobs.values() if job.is_over]
        size = sum(job.size for job in over)
        while len(over) > self._kept or (len(over) > 1 and size > self._kept_bytes):
            old = over.pop(0)
            size -= old.size
            del self._jobs[old.id]

    def get(self, id):
        """Returns the `Job` of that id, or None; keeps a requested job for longer."""
        with self._changed:
            if id in self._jobs:
                self._jobs.move_to_end(id)
            return self._jobs.get(id)

    def cancel(self, job):
        """Stops a job: at its next event, or at once if it waits."""
        job.cancel()
        with self._changed:
            waits = job in self._line and job is not self._line[0]
            if waits:
                self._line.remove(job)
        if waits:
            job.run(self._seconds)  # which is over at once, and says so

    def ahead(self, job):
        """Counts the jobs that will run before this one."""
        with self._changed:
            return self._line.index(job) if job in self._line else 0

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._line)
                job = self._line[0]
            job.run(self._seconds)
            with self._changed:
                self._line.popleft()
