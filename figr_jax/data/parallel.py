"""Many images, several processes: work in order, with a progress bar."""

import contextlib
import multiprocessing
import os
import signal
from multiprocessing import resource_tracker

import tqdm

from figr_jax.errors import FailedWork
from figr_jax.signals import delayed_signals

_FEW = 5_000  # images: below, starting processes takes longer than the work
_MOST = 16  # processes; each takes some 150 MB
_AHEAD = 2  # chunks that a process has been given


def run(work, chunks, what):
    """Yields `work(rows)` for each chunk of rows, in order.

    Args:
      work: picklable function of a range; sent to each process once.
      chunks: list of ranges.
      what: what is being done, for the progress bar.

    Yields:
      What `work` returns.

    Raises:
      FailedWork: if a process was ended, by the system or because it cannot start.
      Whatever `work` raises.
    """
    total = sum(map(len, chunks))
    workers = 1 if total < _FEW else min(_count_cores(), len(chunks), _MOST)
    results = map(work, chunks) if workers == 1 else _share(work, chunks, workers)
    with tqdm.tqdm(total=total, desc=what, unit=" images") as bar:
        try:
            for rows, result in zip(chunks, results, strict=True):
                bar.update(len(rows))
                yield result
        except (EOFError, ConnectionError) as error:
            raise FailedWork(
                f"{what}: a process ended; there may be too little memory, or, in a "
                "script of one's own, no `if __name__ == '__main__':`"
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

    Pipes and nothing else: a process whose other side is gone ends, or is missed, at
    once, whoever was killed, and nothing has to be cleaned up after it.
    """
    # Not by fork: this process may run threads of jax, and a fork of them hangs.
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        # If this one ended in between, one that is started and not yet told what to run
        # would end with a traceback of multiprocessing's.
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
    """Starts processes that hear no Ctrl-C.

    In a terminal it goes to all processes: it is for this one to answer.
    """
    # The tracker that multiprocessing starts first of all would lift the mask.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _receive(pipe):
    """Receives from a pipe; EOFError also where the other side ended amid a message."""
    try:
        return pipe.recv()
    except OSError as error:  # not of the message: what was raised travels in it
        raise EOFError from error


def _serve(pipe):
    """Works on one chunk after another until the pipe is closed."""
    try:
        work = _receive(pipe)
        while True:
            rows = _receive(pipe)
            try:
                answer = None, work(rows)
            except Exception as error:  # raised in the other process
                answer = error, None
            pipe.send(answer)
    except (EOFError, ConnectionError):
        pass
