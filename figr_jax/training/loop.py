"""The training loop: train a block of meta-steps, log, sample, evaluate, save."""

import contextlib
import itertools
import pathlib
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from figr_jax import checkpoints, config
from figr_jax.common import compilation, signals
from figr_jax.common.errors import BadInput, say
from figr_jax.data import bank as banks
from figr_jax.data import datasets, feed
from figr_jax.evaluation import light
from figr_jax.training import block as blocks
from figr_jax.training import lock, record, runlog
from figr_jax.training import start as starts
from figr_jax.training.run import Run
from figr_jax.training.store import Store


@compilation.in_float32
def train(cfg, workdir, data_dir=None):
    """Meta-trains, or resumes the run that `workdir` holds.

    Args:
      cfg: a config, see `config.default`.
      workdir: the run's folder; checkpoints, snapshots, grids and metrics go there.
      data_dir: where prepared data sets live; TFDS's own default if None.

    Returns:
      The final `reptile.ReptileState`.

    Raises:
      BadInput: if the config is invalid, may not continue the run in `workdir`, or
        another process trains there.
      FailedWork: if losses or parameters are no longer finite, no checkpoint is good,
        or two in a row cannot be saved.
    """
    config.from_dict(cfg.to_dict())  # rejects unknown fields and wrong types
    config.validate(cfg)  # rejects missing fields
    if cfg.dataset.name == "none":
        raise BadInput("--config.dataset.name='none': there is nothing to train on")
    cfg = cfg.copy_and_resolve_references()
    cfg.dataset.name = datasets.resolve(cfg.dataset.name)
    blocks.check_memory(cfg)
    mesh = blocks.make_mesh(cfg.outer.tasks)  # early: may raise, in all processes
    checkpoints.check_path(workdir, "--workdir")
    workdir = pathlib.Path(workdir)
    if jax.process_index():  # only the first process writes
        start = starts.find_start(cfg, workdir)
        return _train(cfg, workdir, data_dir, mesh, start, None, None)
    with lock.SoleWriter(workdir) as writer:
        start, run = starts.find_start(cfg, workdir), cfg.run
        step = int(start.state.step)
        log = runlog.RunLog(workdir, step, run.meta_steps, run.tensorboard)
        with contextlib.closing(log):
            return _train(cfg, workdir, data_dir, mesh, start, log, writer)


def _train(cfg, workdir, data_dir, mesh, start, log, writer):
    """Trains from `start`; only the first process has a `log` and a `writer`."""
    sizes, step = cfg.dataset, int(start.state.step)
    bank = banks.load(sizes.name, sizes.image_size, sizes.channels, data_dir)
    split = record.choose_split(cfg, bank, start)
    classes, heldout = split.indices(bank.names)
    # All processes load or train the embeddings, so that none waits for minutes in a
    # collective. Only the first one measures the run.
    evaluator = None
    if cfg.run.evaluate_every:
        evaluator = light.Light(cfg, bank, split, data_dir)
    with contextlib.closing(Store(workdir, step)) as store:
        run = Run(
            cfg=cfg,
            workdir=workdir,
            mesh=mesh,
            bank=bank,
            classes=record.large_enough(cfg, bank, classes),
            heldout=heldout,
            info=record.make_info(cfg, bank, split, start),
            store=store,
            log=log,
            writer=writer,
            evaluator=evaluator,
        )
        if log:
            run.describe()
        if step:  # the run may have been killed between the two saves of a step
            store.check_snapshot(step, start.state.slow, run.info["config"]["sampling"])
            run.save(start.state, start.rewinds)
        if step >= cfg.run.meta_steps:
            say(f"nothing to do: {step} of {cfg.run.meta_steps} meta-steps are done")
            store.wait()
            return start.state
        run.introduce(start.state)
        return _run_blocks(run, start)


def _run_blocks(run, start):
    """Trains to the end, or until a signal asks to stop; rewinds if losses diverge."""
    message = "stopping after this block of meta-steps; a second signal stops at once"
    block, asked, cfg = None, None, run.cfg
    with contextlib.ExitStack() as stack:
        while True:
            step, rewinds = int(start.state.step), start.rewinds
            seed = starts.episode_seed(cfg.run.seed, rewinds)
            state = feed.put_everywhere(start.state, run.mesh)
            args = cfg, run.bank, run.classes, run.mesh, seed, step
            with blocks.open_sources(*args) as sources:
                first = next(sources)  # the block is compiled for its shapes
                if not block:
                    block = blocks.compile_block(cfg, state, run.mesh, first)
                    asked = stack.enter_context(signals.stoppable(message))
                sources = itertools.chain([first], sources)
                try:
                    return _loop(run, block, state, rewinds, seed, sources, asked)
                except starts.Diverged as error:
                    start = starts.rewind(cfg, run.workdir, run.store, rewinds, error)
                    if run.log:
                        run.log.go_back(int(start.state.step))
            if _in_any_process(asked()):
                say(f"stopped: {run.store.describe_newest()}")
                return start.state


def _loop(run, block, state, rewinds, seed, sources, asked):
    """Trains block by block; `asked()` is true after a signal to stop."""
    cfg, end = run.cfg.run, time.perf_counter()
    for start, count in blocks.list_blocks(cfg, int(state.step)):
        begin, last = time.perf_counter(), end
        source = next(sources)
        received = time.perf_counter()
        state, means = block(state, count, seed, source)
        means = {name: float(value) for name, value in means._asdict().items()}
        end = time.perf_counter()
        step = start + count
        if not np.isfinite(list(means.values())).all():
            raise starts.Diverged(
                f"meta-step {step}: losses or parameters are no longer finite"
            )
        if run.log:
            run.renew()
            seconds = runlog.Seconds(end - received, received - begin, begin - last)
            run.log.block(step, means, count, seconds)
        stop = _in_any_process(asked())
        # Sample and evaluate before saving, so that they are repeated after a kill.
        is_last = step == cfg.meta_steps
        if cfg.sample_every and (is_last or step % cfg.sample_every == 0):
            run.sample(state)
        if cfg.evaluate_every and (is_last or step % cfg.evaluate_every == 0):
            run.evaluate(state)
        if stop or step % cfg.save_every == 0 or step == cfg.meta_steps:
            run.save(state, rewinds)
        if stop:
            break
    if not run.store.wait():
        run.save(state, rewinds)
        run.store.wait()
    if run.log:
        run.log.finish(time.perf_counter() - end)
    if step < cfg.meta_steps:
        newest = run.store.describe_newest()
        say(f"stopped after meta-step {step}: {newest}; rerun the command to resume")
    else:
        say(f"done: {run.workdir}")
    return state


def _in_any_process(flag):
    """Returns whether a flag is set in any process, so that all stop together."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())
