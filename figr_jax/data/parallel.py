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


def run(work, chunks, what, unit="image"):
    """Yields `work(rows)` for each chunk of rows, in order.

    Args:
      work: picklable function of a range; sent to each process once.
      chunks: list of ranges.
      what: what is being done, for the progress bar.
      unit: what a row is.

    Yields:
      What `work` returns.

    Raises:
      FailedWork: if a process was ended from outside.
      Whatever `work` raises.
    """
    total = sum(map(len, chunks))
    workers = min(len(os.sched_getaffinity(0)), len(chunks), _MOST)
    with tqdm.tqdm(total=total, desc=what, unit=f" {unit}s") as bar:
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
        try:
            waiting = collections.deque()
            for rows in [*chunks, *[None] * 2 * workers]:
                if rows is not None:
                    waiting.append((rows, pool.submit(_call, rows)))
                if waiting and (rows is None or len(waiting) > 2 * workers):
                    done, future = waiting.popleft()
                    result = future.result()
                    bar.update(len(done))
                    yield result
        except concurrent.futures.process.BrokenProcessPool as error:
            raise FailedWork(
                f"{what}: a worker process was ended from outside; is there too little "
                "memory?"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def cut(count, size):
    """Cuts `range(count)` into ranges of `size`, the last one shorter."""
    return [range(i, min(i + size, count)) for i in range(0, count, size)]
