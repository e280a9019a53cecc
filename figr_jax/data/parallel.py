"""Many images, several processes: work in order, with a progress bar."""

import collections
import concurrent.futures
import multiprocessing
import os
import threading

import tqdm

from figr_jax.errors import FailedWork

_FEW = 5_000  # images: below, starting processes takes longer than the work
_MOST = 16  # processes; each takes some 150 MB

_work = None  # what this worker process does, set once when it starts


def _start(work):
    global _work
    _work = work

    def end_with_parent():
        multiprocessing.parent_process().join()
        os._exit(1)  # else it would wait for work for ever, were the parent killed

    threading.Thread(target=end_with_parent, daemon=True).start()


def _call(rows):
    return _work(rows)


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
    workers = min(_count_cores(), len(chunks), _MOST)
    with tqdm.tqdm(total=total, desc=what, unit=" images") as bar:
        if total < _FEW or workers == 1:
            for rows in chunks:
                result = work(rows)
                bar.update(len(rows))
                yield result
            return
        # Not by fork: this process may run threads of jax, and a fork of them hangs.
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _start, (work,)
        )
        waiting = collections.deque()

        def take():
            rows, future = waiting.popleft()
            result = future.result()
            bar.update(len(rows))
            return result

        try:
            for rows in chunks:
                waiting.append((rows, pool.submit(_call, rows)))
                if len(waiting) > 2 * workers:
                    yield take()
            while waiting:
                yield take()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise FailedWork(
                f"{what}: a worker process ended; there may be too little memory, or, "
                "in a script of one's own, no `if __name__ == '__main__':`"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _count_cores():
    """The cores that this process may use; where that is not told, all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cut(count, size):
    """Cuts `range(count)` into ranges of `size`, the last one shorter."""
    return [range(i, min(i + size, count)) for i in range(0, count, size)]
