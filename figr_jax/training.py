"""The loop of meta-training: restore, step, log, sample, save."""

import contextlib
import itertools
import math
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec as P

from figr_jax import (
    adaptation,
    checkpoints,
    compilation,
    config,
    errors,
    files,
    generation,
    pictures,
    provenance,
    recipe,
    reptile,
    runlog,
)
from figr_jax.data import bank as banks
from figr_jax.data import datasets, episodes, images, splits
from figr_jax.errors import BadInput, FailedWork, warn
from figr_jax.evaluation import light
from figr_jax.runlog import say

GRID_CLASSES = 4  # held-out classes side by side in a sample grid
COPIES = 6  # of the parameters: slow, two moments, fast, gradient, difference
EXAMPLES = 12  # held-out classes of which images travel with the weights
EXAMPLES_OF_CLASS = 12  # images of each, at most
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
      BadInput: if the config is invalid, may not continue the run in `workdir`, or
        another process trains there.
      FailedWork: if losses or parameters are no longer finite, no checkpoint is good,
        or two in a row cannot be saved.
    """
    config.from_dict(cfg.to_dict())  # no unknown field, no wrong type
    config.validate(cfg)  # and none missing
    if cfg.dataset.name == "none":
        raise BadInput("--config.dataset.name='none': there is nothing to train on")
    cfg = cfg.copy_and_resolve_references()
    cfg.dataset.name = datasets.resolve(cfg.dataset.name)
    _check_memory(cfg)
    mesh = make_mesh(cfg.outer.tasks)  # early: may refuse, in all processes at once
    checkpoints.check_path(workdir, "--workdir")
    workdir = pathlib.Path(workdir)
    if jax.process_index():  # only the first process writes
        start = _find_start(cfg, workdir)
        return _train(cfg, workdir, data_dir, mesh, start, None, None)
    with files.SoleWriter(workdir) as writer:
        start, run = _find_start(cfg, workdir), cfg.run
        step = int(start.state.step)
        log = runlog.RunLog(workdir, step, run.meta_steps, run.tensorboard)
        with contextlib.closing(log):
            return _train(cfg, workdir, data_dir, mesh, start, log, writer)


class _Start(NamedTuple):
    """What a run begins with, or goes on from."""

    state: reptile.ReptileState
    info: dict | None  # of the checkpoint that it was loaded from
    rewinds: int  # done so far


def _find_start(cfg, workdir):
    networks, optimizer = config.build_networks(cfg), config.build_outer(cfg)

    def init(seed):
        # No meta-step has this number, so no other draw has this key.
        key = jax.random.fold_in(jax.random.key(seed), np.uint32(2**32 - 1))
        return reptile.init(networks, key, optimizer)

    def load(path):
        info = checkpoints.read_info(path)
        changes = config.check_resume(cfg, config.from_dict(info["config"]))
        shapes = jax.eval_shape(init, cfg.run.seed)
        state = checkpoints.load(path, "state", shapes, info)
        say(f"resuming from {path}")
        for change in changes:
            say(f"changed since the last save: {change}")
        return _Start(state, info, info.get("rewinds", 0))

    stored = checkpoints.load_checkpoint(workdir, load)
    if stored:
        return stored
    say("initialising the networks")
    # Op by op this takes longer than many meta-steps.
    state = jax.jit(init, compiler_options=compilation.options())(cfg.run.seed)
    if cfg.run.init_from:
        state = state._replace(slow=_load_slow(cfg.run.init_from, state.slow))
    return _Start(state, None, 0)


def _load_slow(path, like):
    """The slow parameters of a snapshot, which must have the shapes of `like`."""
    model = generation.load(path)
    shapes = [
        {
            jax.tree_util.keystr(where): leaf.shape
            for where, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        }
        for tree in (model.slow, like)
    ]
    if shapes[0] != shapes[1]:
        raise BadInput(
            f"--config.run.init_from={path}: its networks are "
            f"{dict(model.config.networks)} for {model.config.dataset.image_size} "
            f"pixels and {model.config.dataset.channels} channels; give this run the "
            "same"
        )
    say(f"starting from the weights of {path}")
    return jax.tree.map(jnp.asarray, model.slow)


class _Run(NamedTuple):
    """What training needs from the first block to the last."""

    cfg: Any
    workdir: pathlib.Path
    mesh: jax.sharding.Mesh
    bank: banks.Bank
    training: np.ndarray  # class indices
    heldout: np.ndarray
    info: dict  # what travels with a checkpoint, but for the rewinds
    store: checkpoints.Store
    log: runlog.RunLog | None  # of the first process, as the next two
    evaluator: light.Light | None  # if it is wanted
    writer: files.SoleWriter | None

    def save(self, state, rewinds):
        if self.writer:
            self.renew()
        info = {**self.info, "rewinds": rewinds}
        self.store.save(int(state.step), state, state.slow, info)

    def renew(self):
        """Sees to it that the folder is there, and this process its only writer."""
        try:
            if self.writer.renew():
                self.describe()
        except OSError as error:
            warn(f"{self.workdir}: {error}")

    def describe(self):
        """Writes what the run is."""
        for name in ("config", "split"):
            files.write_json(self.workdir / f"{name}.json", self.info[name])

    def sample(self, state):
        if not self.log:
            return
        with _survive(f"no sample grid at meta-step {int(state.step)}"):
            _write_grid(self.workdir, state, self.info, self.bank, self.heldout)

    def evaluate(self, state):
        if not self.evaluator:
            return
        with _survive(f"not evaluated at meta-step {int(state.step)}"):
            found = self.evaluator(_of_one_device(state.slow))
            self.log.evaluation(int(state.step), found)


@contextlib.contextmanager
def _survive(what):
    """Makes a warning of what need not end a run: a failed write, too little memory."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not errors.is_out_of_memory(error):
            raise
        warn(f"{what}: {error}")


def _check_memory(cfg):
    """Refuses networks that cannot be trained here, before anything is allocated."""
    needed, device = _count_bytes(cfg), jax.local_devices()[0]
    memory = episodes.memory_of(device)
    if needed > memory:
        raise BadInput(
            f"--config.networks.width={cfg.networks.width}: training takes at least "
            f"{needed / 1e9:,.1f} GB for {COPIES} copies of the parameters, and "
            f"{device.device_kind} has {memory / 1e9:,.1f} GB"
        )


def _train(cfg, workdir, data_dir, mesh, start, log, writer):
    dataset, step = cfg.dataset, int(start.state.step)
    bank = banks.load(dataset.name, dataset.image_size, dataset.channels, data_dir)
    split = _stored_split(start.info, bank) if start.info else _draw_split(cfg, bank)
    training, heldout = split.indices(bank.names)
    training = _large_enough(cfg, bank, training)
    info = {
        "config": cfg.to_dict(),
        "split": split._asdict(),
        "background": _background(bank),
        "examples": _examples(bank, heldout, cfg.inner.shots),
        "licence": bank.licence,
        "sessions": _sessions(start),
    }
    with contextlib.closing(checkpoints.Store(workdir, step)) as store:
        wanted = log and cfg.run.evaluate_every
        evaluator = light.Light(cfg, bank, split) if wanted else None
        run = _Run(
            *(cfg, workdir, mesh, bank, training, heldout, info, store),
            *(log, evaluator, writer),
        )
        if log:
            run.describe()
        if step:  # a kill may have come between the two saves of a step
            sampling = info["config"]["sampling"]
            store.check_snapshot(step, start.state.slow, sampling)
            run.save(start.state, start.rewinds)
        if step >= cfg.run.meta_steps:
            say(f"nothing to do: {step} of {cfg.run.meta_steps} meta-steps are done")
            store.wait()
            return start.state
        _describe(cfg, bank, heldout, start.state, mesh)
        return _run_blocks(run, start)


def _sessions(start):
    """Where each stretch of a run is from: a run may go on elsewhere, changed."""
    before = start.info.get("sessions", []) if start.info else []
    return [*before, {"from_step": int(start.state.step), **provenance.describe()}]


def _draw_split(cfg, bank):
    dataset = cfg.dataset
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
    wanted = shots + cfg.inner.others
    few = len(allowed) - len(episodes.large_enough(bank, allowed, wanted))
    if few:
        say(
            f"{few} classes have fewer than {wanted} images: their {cfg.inner.others} "
            "others are drawn with replacement"
        )
    return allowed


def _background(bank):
    """Grey level of the background in [0, 255]; a thousand images show that of all."""
    return float(images.background(bank.images[:: len(bank.images) // 1000 + 1]).mean())


def _examples(bank, heldout, shots):
    """A few images of held-out classes, so that a snapshot can be tried without data.

    A dict: name of a class to PNG files of its images, in base64.
    """
    chosen = _spread(episodes.large_enough(bank, heldout, shots), EXAMPLES)
    return {
        bank.names[index]: [
            recipe.encode(image)
            for image in bank.class_images(index)[:EXAMPLES_OF_CLASS]
        ]
        for index in chosen
    }


def _spread(classes, count):
    """At most `count` of the classes, evenly spaced: of a mix some of each data set."""
    chosen = np.linspace(0, len(classes) - 1, min(count, len(classes))).round()
    return classes[chosen.astype(int)]


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
def _sources(run, seed, step):
    """What episodes are drawn from, for one block of meta-steps after another."""
    cfg, bank = run.cfg, run.bank
    fits = episodes.fits(bank, jax.local_devices()[0])
    if cfg.run.bank == "device" or (cfg.run.bank == "auto" and fits):
        yield itertools.repeat(episodes.put(bank, run.training, run.mesh))
        return
    say(f"streaming episodes from the host: the bank has {bank.images.nbytes:,} bytes")
    starts = (start for start, _ in _blocks(cfg.run, step))
    with episodes.stream(
        bank,
        run.training,
        run.mesh,
        seed,
        starts,
        size=cfg.run.log_every,
        tasks=cfg.outer.tasks,
        shots=cfg.inner.shots,
        others=cfg.inner.others,
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


def make_block(networks, inner, optimizer, tasks, shots, mesh, *, others=0, group=1):
    """Many meta-steps as one function of arrays, to be jitted.

    Args:
      networks: `networks.Networks`.
      inner: `adaptation.Inner`.
      optimizer: optax transform of the outer update.
      tasks: tasks in a meta-step.
      shots: support images in a task.
      mesh: `jax.sharding.Mesh` of the devices that share the tasks.
      others: further images of the class in a task, for the critic.
      group: tasks that a device adapts to at once.

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
        drawn = source.draw(episode_key, i, numbers, shots, others)
        drawn = images.to_float(drawn)
        further = drawn[:, shots:] if others else None
        return reptile.meta_step(
            networks,
            state,
            adaptation.Episode(drawn[:, :shots], further),
            adapt_key,
            inner,
            optimizer,
            group,
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


def _choose_group(cfg, mesh):
    """Tasks that a device adapts to at once: the largest divisor that is allowed."""
    tasks, limit = cfg.outer.tasks // mesh.size, cfg.outer.group
    if not limit:
        device = mesh.local_devices[0]
        limit = 1 if device.platform == "cpu" else max(1, _fitting(cfg, device))
    return max(n for n in range(1, tasks + 1) if tasks % n == 0 and n <= limit)


def _fitting(cfg, device):
    """Adaptations whose parameters and gradients take half of a device's memory.

    The other half is for their activations.
    """
    return int(episodes.memory_of(device) / 2 / _count_bytes(cfg))


def _count_bytes(cfg):
    """Bytes of `COPIES` copies of the parameters."""
    shapes = jax.eval_shape(config.build_networks(cfg).init, jax.random.key(0))
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    return COPIES * 4 * parameters


def _compile_block(cfg, state, mesh, source):
    block = make_block(
        config.build_networks(cfg),
        config.build_inner(cfg),
        config.build_outer(cfg),
        cfg.outer.tasks,
        cfg.inner.shots,
        mesh,
        others=cfg.inner.others,
        group=_choose_group(cfg, mesh),
    )
    say("compiling the meta-step (up to a minute on two CPU cores)")
    begin = time.perf_counter()
    jitted = jax.jit(block, donate_argnums=0, compiler_options=compilation.options())
    compiled = jitted.lower(state, cfg.run.log_every, cfg.run.seed, source).compile()
    say(f"compiled in {time.perf_counter() - begin:.0f} s")
    return compiled


class _Diverged(Exception):
    """Losses or parameters are no longer finite."""


def _run_blocks(run, start):
    """Trains to the end, or until it is asked to stop; goes back if it may."""
    promise = "stopping after this block of meta-steps; once more stops at once"
    block, asked = None, None
    with contextlib.ExitStack() as stack:
        while True:
            step, seed = int(start.state.step), _episode_seed(run, start.rewinds)
            state = episodes.put_everywhere(start.state, run.mesh)
            with _sources(run, seed, step) as sources:
                first = next(sources)  # its shapes are compiled for
                if not block:
                    block = _compile_block(run.cfg, state, run.mesh, first)
                    asked = stack.enter_context(errors.stoppable(promise))
                sources = itertools.chain([first], sources)
                try:
                    return _loop(run, block, state, start.rewinds, seed, sources, asked)
                except _Diverged as error:
                    start = _rewind(run, start.rewinds, error)
            if _in_any_process(asked()):
                say(f"stopped: {run.store.describe_newest()}")
                return start.state


def _episode_seed(run, rewinds):
    """Seed of the episodes, another one after each rewind."""
    seed = run.cfg.run.seed
    if not rewinds:
        return seed
    return int(np.random.SeedSequence([seed, rewinds]).generate_state(1)[0] >> 1)


def _rewind(run, rewinds, error):
    """The last good checkpoint, or the start, with other episodes to come."""
    run.store.wait()
    if run.cfg.run.on_divergence == "stop":
        raise FailedWork(
            f"{error}; {run.store.describe_newest()}; try a smaller "
            "--config.inner.learning_rate or --config.outer.learning_rate, another "
            "--config.inner.penalty_weight, or --config.run.on_divergence=rewind"
        )
    if rewinds >= run.cfg.run.rewinds:
        raise FailedWork(
            f"{error}, also after {rewinds} rewinds (--config.run.rewinds); "
            f"{run.store.describe_newest()}; try a smaller "
            "--config.inner.learning_rate or --config.outer.learning_rate"
        )
    warn(f"{error}; going back, with other episodes: rewind {rewinds + 1}")
    start = _find_start(run.cfg, run.workdir)._replace(rewinds=rewinds + 1)
    run.store.go_back(int(start.state.step))
    if run.log:
        run.log.go_back(int(start.state.step))
    return start


def _in_any_process(flag):
    """Whether it holds in one of the processes, which must stop together."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def _loop(run, block, state, rewinds, seed, sources, asked):
    cfg, end = run.cfg.run, time.perf_counter()
    for start, count in _blocks(cfg, int(state.step)):
        begin, last = time.perf_counter(), end
        source = next(sources)
        given = time.perf_counter()
        state, record = block(state, count, seed, source)
        record = {name: float(value) for name, value in record._asdict().items()}
        end = time.perf_counter()
        step = start + count
        if not np.isfinite(list(record.values())).all():
            raise _Diverged(
                f"meta-step {step}: losses or parameters are no longer finite"
            )
        if run.log:
            run.renew()
            seconds = runlog.Seconds(end - given, given - begin, begin - last)
            run.log.block(step, record, count, seconds)
        stop = _in_any_process(asked())
        # What looks at a state comes before its save: a kill in between repeats it.
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
        say(f"stopped after meta-step {step}: {newest}; the same command goes on")
    else:
        say(f"done: {run.workdir}")
    return state


def _of_one_device(tree):
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def _write_grid(workdir, state, info, bank, heldout):
    """Writes samples/<step>.png: held-out classes as in the paper's figures."""
    model = generation.FewShotGenerator(_of_one_device(state.slow), info)
    shots, seed = model.config.inner.shots, model.config.run.seed
    heldout = _spread(episodes.large_enough(bank, heldout, shots), GRID_CLASSES)
    if not len(heldout):
        return
    say(f"drawing {len(heldout)} held-out classes (the first time this compiles)")
    panels = []
    for index in heldout:
        support = episodes.support(bank, index, shots, seed)
        generated = model.adapt(support, seed).generate(GRID_ROWS * shots, seed)
        panels.append(pictures.panel(support, generated, columns=shots))
    path = workdir / "samples" / f"{int(state.step)}.png"
    path.parent.mkdir(exist_ok=True)
    pictures.save(path, pictures.side_by_side(panels))
    say(f"wrote {path}")
