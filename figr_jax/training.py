"""The loop of meta-training: restore, step, log, sample, save."""

import contextlib
import itertools
import math
import time

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.sharding import PartitionSpec as P

from figr_jax import (
    checkpoints,
    compilation,
    config,
    files,
    generation,
    pictures,
    reptile,
    runlog,
)
from figr_jax.data import bank as banks
from figr_jax.data import datasets, episodes, images, splits
from figr_jax.errors import BadInput, FailedWork
from figr_jax.runlog import say

GRID_CLASSES = 4  # held-out classes side by side in a sample grid
GRID_ROWS = 3  # rows of generated images under each support, as in the paper


def train(cfg, workdir, data_dir=None):
    """Meta-trains, or goes on with the run that `workdir` already holds.

    Args:
      cfg: a config, see `config.default`.
      workdir: the run's folder; checkpoints, snapshots, grids and metrics go there.
      data_dir: where prepared data sets live; TFDS's own default if None.

    Returns:
      The final `reptile.ReptileState`.

    Raises:
      BadInput: if the config is invalid, or may not continue the run in `workdir`.
      FailedWork: if a loss is no longer finite, or a checkpoint is damaged.
    """
    config.from_dict(cfg.to_dict())  # no unknown field, no wrong type
    config.validate(cfg)  # and none missing
    if cfg.dataset.name == "none":
        raise BadInput("--config.dataset.name='none': there is nothing to train on")
    cfg = cfg.copy_and_resolve_references()
    cfg.dataset.name = datasets.resolve(cfg.dataset.name)
    mesh = make_mesh(cfg.outer.tasks)  # early: may refuse, in all processes at once
    workdir = files.make_folder(workdir, "--workdir")
    files.make_folder(workdir / "samples", "--workdir")
    with contextlib.closing(checkpoints.Store(workdir)) as store:
        stored = _stored_info(cfg, store)
        run, step = cfg.run, store.latest_step()
        if step >= run.meta_steps:
            say(f"nothing to do: {step} of {run.meta_steps} meta-steps are done")
            return _initial_state(cfg, store, stored)
        if jax.process_index():  # only the first process writes
            return _train(cfg, workdir, data_dir, mesh, store, stored, None)
        log = runlog.RunLog(workdir, step, run.meta_steps, run.tensorboard)
        with contextlib.closing(log):
            return _train(cfg, workdir, data_dir, mesh, store, stored, log)


def _train(cfg, workdir, data_dir, mesh, store, stored, log):
    dataset = cfg.dataset
    bank = banks.load(dataset.name, dataset.image_size, dataset.channels, data_dir)
    split = _stored_split(stored, bank) if stored else _draw_split(dataset, bank)
    training, heldout = split.indices(bank.names)
    training = _large_enough(cfg, bank, training)
    info = {
        "config": cfg.to_dict(),
        "split": split._asdict(),
        "background": _background(bank),
    }
    if log:
        files.write_json(workdir / "config.json", info["config"])
        files.write_json(workdir / "split.json", info["split"])
    state = _initial_state(cfg, store, stored)
    _describe(cfg, bank, heldout, state, mesh)
    state = episodes.put_everywhere(state, mesh)

    def sample(state):
        if log:
            _write_grid(workdir, state, info, bank, heldout)

    def save(state):
        store.save(int(state.step), state, state.slow, info)

    with _sources(cfg, bank, training, mesh, int(state.step)) as sources:
        state = _loop(cfg, state, mesh, sources, log, sample, save)
    say(f"done: {workdir}")
    return state


def _stored_info(cfg, store):
    """Info of the newest checkpoint if there is one, found fit to be continued."""
    if not store.latest_step():
        return None
    info = checkpoints.read_info(store.latest())
    for change in config.check_resume(cfg, config.from_dict(info["config"])):
        say(f"changed since the last save: {change}")
    return info


def _draw_split(dataset, bank):
    return splits.choose(bank, dataset.split, dataset.heldout, dataset.split_seed)


def _stored_split(info, bank):
    split = splits.Split(**info["split"])
    if split.version != bank.version:
        raise BadInput(
            f"{bank.dataset} {bank.version} is prepared, the run being resumed has "
            f"{split.version}; give that one's --data_dir"
        )
    return split


def _large_enough(cfg, bank, classes):
    """Those of the classes that a support can be drawn from."""
    shots = cfg.inner.shots
    allowed = episodes.large_enough(bank, classes, shots)
    if not len(allowed):
        raise BadInput(
            f"--config.inner.shots={shots}: no class of {bank.dataset} has that many"
        )
    if len(allowed) < len(classes):
        left_out = len(classes) - len(allowed)
        say(f"{left_out} classes have fewer than {shots} images and are left out")
    return allowed


def _background(bank):
    """Grey level of the background in [0, 255]; a thousand images show that of all."""
    return float(images.background(bank.images[:: len(bank.images) // 1000 + 1]).mean())


def _initial_state(cfg, store, stored):
    networks, optimizer = config.build_networks(cfg), config.build_outer(cfg)

    def init(seed):
        # No meta-step has this number, so no other draw has this key.
        key = jax.random.fold_in(jax.random.key(seed), np.uint32(2**32 - 1))
        return reptile.init(networks, key, optimizer)

    if stored:
        say(f"resuming from {store.latest()}")
        return checkpoints.load(
            store.latest(), "state", jax.eval_shape(init, cfg.run.seed), stored
        )
    say("initialising the networks")
    # Op by op this takes longer than many meta-steps.
    return jax.jit(init, compiler_options=compilation.options())(cfg.run.seed)


def _describe(cfg, bank, heldout, state, mesh):
    generator, critic = (
        sum(leaf.size for leaf in jax.tree.leaves(params)) for params in state.slow
    )
    say(
        f"{bank.dataset} {bank.version}: {len(bank.images):,} images of "
        f"{len(bank.names):,} classes, {len(heldout)} held out"
    )
    say(
        f"{cfg.networks.family}, width {cfg.networks.width}: generator {generator:,} "
        f"parameters, critic {critic:,}; on {mesh.size} of {jax.device_count()} "
        f"devices ({jax.devices()[0].device_kind})"
    )


@contextlib.contextmanager
def _sources(cfg, bank, classes, mesh, step):
    """What episodes are drawn from, for one block of meta-steps after another."""
    run = cfg.run
    fits = episodes.fits(bank, jax.local_devices()[0])
    if run.bank == "device" or (run.bank == "auto" and fits):
        yield itertools.repeat(episodes.put(bank, classes, mesh))
        return
    say(f"streaming episodes from the host: the bank has {bank.images.nbytes:,} bytes")
    starts = (start for start, _ in _blocks(run, step))
    with episodes.stream(
        bank,
        classes,
        mesh,
        run.seed,
        starts,
        size=run.log_every,
        tasks=cfg.outer.tasks,
        shots=cfg.inner.shots,
    ) as sources:
        yield sources


def _blocks(run, step):
    """First meta-step and count of each block, from `step` on."""
    while step < run.meta_steps:
        # Blocks end at multiples of log_every, also after a resume in between.
        count = min(run.log_every - step % run.log_every, run.meta_steps - step)
        yield step, count
        step += count


def make_mesh(tasks):
    """The devices that share the tasks of a meta-step, each as many of them."""
    processes = jax.process_count()
    if tasks % processes:
        raise BadInput(
            f"--config.outer.tasks={tasks}: must be a multiple of the {processes} "
            "processes, since each needs as many tasks"
        )
    own = min(len(jax.local_devices(i)) for i in range(processes))
    each = math.gcd(tasks // processes, own)
    devices = [d for i in range(processes) for d in jax.local_devices(i)[:each]]
    kinds = (jax.sharding.AxisType.Auto,)
    # Not jax.make_mesh, which may refuse a part of a machine's devices.
    return jax.sharding.Mesh(np.array(devices), (reptile.AXIS,), axis_types=kinds)


def make_block(networks, inner, optimizer, tasks, shots, mesh):
    """Many meta-steps as one function of arrays, to be jitted.

    Args:
      networks: `networks.Networks`.
      inner: `adaptation.Inner`.
      optimizer: optax transform of the outer update.
      tasks: tasks in a meta-step.
      shots: support images in a task.
      mesh: `jax.sharding.Mesh` of the devices that share the tasks.

    Returns:
      A function `(state, count, seed, source) -> (state, record)`: `count` meta-steps
      from `ReptileState` on, with the episodes of an `episodes.Resident` or
      `episodes.Streamed`; the record is the mean of their `reptile.Record`. The count
      is a traced scalar, so one program serves every block, and the numbers do not
      depend on how a run is cut into blocks.
    """
    axis = reptile.AXIS if mesh.size > 1 else None

    def one(state, i, seed, source):
        episode_key, adapt_key = episodes.keys(seed, state.step)
        numbers = reptile.task_numbers(tasks // mesh.size, axis)
        supports = source.supports(episode_key, i, numbers, shots)
        return reptile.meta_step(
            networks,
            state,
            images.to_float(supports),
            adapt_key,
            inner,
            optimizer,
            axis,
        )

    def block(state, count, seed, source):
        def body(i, carry):
            state, total = carry
            state, record = one(state, i, seed, source)
            return state, jax.tree.map(jnp.add, total, record)

        zeros = reptile.Record(*(jnp.zeros(()) for _ in reptile.Record._fields))
        state, total = lax.fori_loop(0, count, body, (state, zeros))
        return state, jax.tree.map(lambda x: x / count, total)

    def shared_block(state, count, seed, source):
        specs = (P(), P(), P(), source.spec(axis))
        shared = jax.shard_map(block, mesh=mesh, in_specs=specs, out_specs=P())
        return shared(state, count, seed, source)

    return shared_block if axis else block


def _compile_block(cfg, state, mesh, source):
    block = make_block(
        config.build_networks(cfg),
        config.build_inner(cfg),
        config.build_outer(cfg),
        cfg.outer.tasks,
        cfg.inner.shots,
        mesh,
    )
    say("compiling the meta-step (up to a minute on two CPU cores)")
    begin = time.perf_counter()
    jitted = jax.jit(block, donate_argnums=0, compiler_options=compilation.options())
    compiled = jitted.lower(state, cfg.run.log_every, cfg.run.seed, source).compile()
    say(f"compiled in {time.perf_counter() - begin:.0f} s")
    return compiled


def _loop(cfg, state, mesh, sources, log, sample, save):
    first = next(sources)  # its shapes are compiled for; the clock starts after that
    block = _compile_block(cfg, state, mesh, first)
    run, sources = cfg.run, itertools.chain([first], sources)
    end = time.perf_counter()
    for start, count in _blocks(run, int(state.step)):
        begin, last = time.perf_counter(), end
        source = next(sources)
        given = time.perf_counter()
        state, record = block(state, count, run.seed, source)
        record = {name: float(value) for name, value in record._asdict().items()}
        end = time.perf_counter()
        step = start + count
        if not np.isfinite(list(record.values())).all():
            raise FailedWork(
                f"meta-step {step}: the losses are no longer finite; try smaller "
                "learning rates (--config.inner.learning_rate)"
            )
        if log:
            seconds = runlog.Seconds(end - given, given - begin, begin - last)
            log.block(step, record, count, seconds)
        # The grid before the save: what is killed in between draws it again.
        if step % run.sample_every == 0 or step == run.meta_steps:
            sample(state)
        if step % run.save_every == 0 or step == run.meta_steps:
            save(state)
    if log:
        log.finish(time.perf_counter() - end)
    return state


def _write_grid(workdir, state, info, bank, heldout):
    """Writes samples/<step>.png: held-out classes as in the paper's figures."""
    slow = jax.tree.map(lambda x: x.addressable_data(0), state.slow)  # of one device
    model = generation.FewShotGenerator(slow, info)
    shots, seed = model.config.inner.shots, model.config.run.seed
    heldout = episodes.large_enough(bank, heldout, shots)[:GRID_CLASSES]
    if not len(heldout):
        return
    say(f"drawing {len(heldout)} held-out classes (the first time this compiles)")
    panels = []
    for index in heldout:
        support = episodes.support(bank, index, shots, seed)
        model.adapt(support, seed)
        generated = model.generate(GRID_ROWS * shots, seed)
        panels.append(pictures.panel(support, generated, columns=shots))
    path = workdir / "samples" / f"{int(state.step)}.png"
    pictures.save(path, pictures.side_by_side(panels))
    say(f"wrote {path}")
