"""Parallel work on many images, in order, with a progress bar."""

import contextlib
import multiprocessing
import os
import signal
from multiprocessing import resource_tracker

import tqdm

from figr_jax.common.errors import FailedWork
from figr_jax.common.signals import delayed_signals

_FEW = 5_000  # images; for fewer, starting processes takes longer than the work
_MOST = 16  # processes; each takes some 150 MB
_AHEAD = 2  # chunks sent to a process in advance


def run(work, chunks, title):
    """Yields `work(rows)` for each chunk of rows, in order.

    Args:
      work: picklable function of a range; sent to each process once.
      chunks: list of ranges.
      title: name of the work, for the progress bar.

    Yields:
      The results of `work`.

    Raises:
      FailedWork: if the system killed a process, or one could not start.
      Exception: any error of `work`.
    """
    total = sum(map(len, chunks))
    workers = 1 if total < _FEW else min(_count_cores(), len(chunks), _MOST)
    results = map(work, chunks) if workers == 1 else _share(work, chunks, workers)
    with tqdm.tqdm(total=total, desc=title, unit=" images") as bar:
        try:
            for rows, result in zip(chunks, results, strict=True):
                bar.update(len(rows))
                yield result
        except (EOFError, ConnectionError) as error:
            raise FailedWork(
                f"{title}: a process died; memory may have run out, or the script may "
                "lack `if __name__ == '__main__':`"
            ) from error


def cut(count, size):
    """Cuts `range(count)` into ranges of `size`, the last one shorter."""
    return [range(i, min(i + size, count)) for i in range(0, count, size)]


def _count_cores():
    """Counts the cores that this process may use; all, if that is unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _share(work, chunks, workers):
    """Yields `work(rows)` for each chunk, dealt out to processes in turn.

    Processes communicate by pipes alone. If either side is killed, the other notices at
    once, and there is nothing to clean up.
    """
    # Not fork: this process may run threads of jax, with which a fork hangs.
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        # If this process ended here, a worker that has started but has no work yet
        # would print a traceback of multiprocessing.
        with delayed_signals(), _deaf_children():
            for _ in range(workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs,), daemon=True)
                process.start()
                theirs.close()
                pipes.append(ours)
                processes.append(process)
        for pipe in pipes:
            pipe.send(work)
        ahead = _AHEAD * workers
        for number, rows in enumerate(chunks[:ahead]):
            pipes[number % workers].send(rows)
        for number in range(len(chunks)):
            pipe = pipes[number % workers]
            error, result = _receive(pipe)
            if error:
                raise error
            if number + ahead < len(chunks):
                pipe.send(chunks[number + ahead])
            yield result
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.close()
            process.terminate()
            process.join()


@contextlib.contextmanager
def _deaf_children():
    """Starts workers with SIGINT blocked.

    A terminal sends Ctrl-C to all processes; only the parent handles it.
    """
    # First: multiprocessing unblocks SIGINT when it starts its resource tracker.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _receive(pipe):
    """Receives a message; raises EOFError if the other side ended, even halfway."""
    try:
        return pipe.recv()
    except OSError as error:  # of the pipe; errors of the work are messages
        raise EOFError from error


def _serve(pipe):
    """Works on one chunk after another until the pipe is closed."""
    try:
        work = _receive(pipe)
        while True:
            rows = _receive(pipe)
            try:
                answer = None, work(rows)
            except Exception as error:  # raised again in the parent
                answer = error, None
            pipe.send(answer)
    except (EOFError, ConnectionError):
        pass
