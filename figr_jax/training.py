"""The loop of meta-training: restore, step, log, sample, save."""

import functools
import importlib
import json
import time

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from figr_jax import checkpoints, config, files, generation, pictures, reptile
from figr_jax.data import bank as banks
from figr_jax.data import episodes, images, splits
from figr_jax.errors import BadInput, FailedWork

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
    config.validate(cfg)
    workdir = files.make_folder(workdir, "--workdir")
    (workdir / "samples").mkdir(exist_ok=True)
    store = checkpoints.Store(workdir)
    try:
        info = _stored_info(cfg, store)
        run = _Run(cfg, workdir, data_dir, store, info)
        return run.loop()
    finally:
        store.close()


def _stored_info(cfg, store):
    """Info of the newest checkpoint if there is one, found fit to be continued."""
    if store.latest() is None:
        return None
    info = checkpoints.read_info(store.latest())
    config.check_resume(cfg, info["config"])
    return info


def make_block(networks, inner, optimizer, tasks, shots):
    """Many meta-steps as one function of arrays, to be jitted.

    Args:
      networks: `networks.Networks`.
      inner: `adaptation.Inner`.
      optimizer: optax transform of the outer update.
      tasks: tasks in a meta-step.
      shots: support images in a task.

    Returns:
      A function `(state, count, seed, source) -> (state, record)`: `count` meta-steps
      from `ReptileState` on, episodes drawn from an `episodes.Source`; the record is
      the mean of their `reptile.Record`. The count is a traced scalar, so one program
      serves every block, and the numbers do not depend on how a run is cut into blocks.
    """

    def one(state, seed, source):
        # Every draw of meta-step s derives from (seed, s): resuming needs no RNG state.
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        episode_key, adapt_key = jax.random.split(key)
        chosen = episodes.draw(
            episode_key, source.class_start, source.classes, tasks, shots
        )
        supports = images.to_float(source.images[chosen])
        return reptile.meta_step(networks, state, supports, adapt_key, inner, optimizer)

    def block(state, count, seed, source):
        def body(_, carry):
            state, total = carry
            state, record = one(state, seed, source)
            return state, jax.tree.map(jnp.add, total, record)

        zeros = reptile.Record(*(jnp.zeros(()) for _ in reptile.Record._fields))
        state, total = lax.fori_loop(0, count, body, (state, zeros))
        return state, jax.tree.map(lambda x: x / count, total)

    return block


class _Run:
    """One run: what the loop needs at hand."""

    def __init__(self, cfg, workdir, data_dir, store, info):
        self.cfg, self.workdir, self.store = cfg, workdir, store
        self.networks = config.build_networks(cfg)
        self.optimizer = config.build_outer(cfg)
        self.bank = banks.load(
            cfg.dataset.name, cfg.dataset.image_size, cfg.dataset.channels, data_dir
        )
        split = splits.Split(**info["split"]) if info else self._draw_split()
        if split.version != self.bank.version:
            raise BadInput(
                f"{cfg.dataset.name} {self.bank.version} is prepared, the run being "
                f"resumed has {split.version}; give that one's --data_dir"
            )
        self.training, self.heldout = split.indices(self.bank.names)
        self.info = {
            "config": cfg.to_dict(),
            "split": split._asdict(),
            "background": images.background(self.bank.images[:: _stride(self.bank)]),
        }
        self.state = self._restore(info) if info else self._init()
        self.events = _event_writer(workdir) if cfg.run.tensorboard else None

    def _draw_split(self):
        dataset = self.cfg.dataset
        return splits.draw(
            dataset.name,
            self.bank.version,
            self.bank.names,
            dataset.heldout,
            dataset.split_seed,
        )

    def _state_shapes(self):
        return jax.eval_shape(self._init_function(), jax.random.key(0))

    def _init_function(self):
        return functools.partial(reptile.init, self.networks, optimizer=self.optimizer)

    def _init(self):
        say("initialising the networks")
        # One jitted call: op by op it takes longer than a meta-step.
        return jax.jit(self._init_function())(jax.random.key(self.cfg.run.seed))

    def _restore(self, info):
        path = self.store.latest()
        say(f"resuming from {path}")
        return checkpoints.load(path, self._state_shapes(), info)

    def loop(self):
        run = self.cfg.run
        files.write_json(self.workdir / "config.json", self.info["config"])
        files.write_json(self.workdir / "split.json", self.info["split"])
        step = int(self.state.step)
        _truncate(self.workdir / "metrics.jsonl", step)
        self._describe(step)
        if step >= run.meta_steps:
            say(f"nothing to do: meta-step {step} of {run.meta_steps} is done")
            return self.state

        source, block = self._compile()
        begin, first = time.perf_counter(), step
        while step < run.meta_steps:
            # Blocks end at multiples of log_every, also after a resume in between.
            count = min(run.log_every - step % run.log_every, run.meta_steps - step)
            tick = time.perf_counter()
            self.state, record = block(self.state, count, run.seed, source)
            record = {k: float(v) for k, v in record._asdict().items()}
            step += count
            rate = count / (time.perf_counter() - tick)
            self._log(step, record, rate)
            elapsed = time.perf_counter() - begin
            left = elapsed / (step - first) * (run.meta_steps - step)
            _narrate(step, run.meta_steps, record, rate, left)
            last = step == run.meta_steps
            if step % run.save_every == 0 or last:
                self.store.save(step, self.state, self.state.slow, self.info)
            if step % run.sample_every == 0 or last:
                self._sample(step)
        say(f"done: {self.workdir}")
        return self.state

    def _describe(self, step):
        cfg, counts = self.cfg, [_size(params) for params in self.state.slow]
        say(
            f"{cfg.dataset.name} {self.bank.version}: {len(self.bank.images):,} images "
            f"of {len(self.bank.names):,} classes, {len(self.heldout)} held out"
        )
        say(
            f"{cfg.networks.family}, width {cfg.networks.width}: generator "
            f"{counts[0]:,} parameters, critic {counts[1]:,}; on "
            f"{jax.devices()[0].device_kind}"
        )
        say(f"meta-steps {step} to {cfg.run.meta_steps} into {self.workdir}")

    def _compile(self):
        cfg = self.cfg
        allowed = episodes.large_enough(self.bank, self.training, cfg.inner.shots)
        small = len(self.training) - len(allowed)
        if not len(allowed):
            raise BadInput(
                f"--config.inner.shots={cfg.inner.shots}: no class of "
                f"{cfg.dataset.name} has as many images"
            )
        if small:
            say(f"{small} classes have fewer than {cfg.inner.shots} images: left out")
        source = episodes.source(self.bank, allowed)
        block = make_block(
            self.networks,
            config.build_inner(cfg),
            self.optimizer,
            cfg.outer.tasks,
            cfg.inner.shots,
        )
        say("compiling the meta-step (about a minute on two CPU cores)")
        begin = time.perf_counter()
        compiled = (
            jax.jit(block, donate_argnums=0)
            .lower(self.state, cfg.run.log_every, cfg.run.seed, source)
            .compile()
        )
        say(f"compiled in {time.perf_counter() - begin:.0f} s")
        return source, compiled

    def _log(self, step, record, rate):
        line = {"step": step, **record, "meta_steps_per_second": rate}
        with open(self.workdir / "metrics.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        if self.events:
            for name, value in record.items():
                self.events.add_scalar(name, value, step)
        if not np.isfinite(list(record.values())).all():
            raise FailedWork(
                f"meta-step {step}: the losses are no longer finite; try smaller "
                "learning rates (--config.inner.learning_rate)"
            )

    def _sample(self, step):
        """Writes samples/<step>.png: held-out classes as in the paper's figures."""
        shots = self.cfg.inner.shots
        heldout = episodes.large_enough(self.bank, self.heldout, shots)[:GRID_CLASSES]
        if not len(heldout):
            return
        say("sampling held-out classes" + (", compiles first" * (not self._sampled)))
        self._sampled = True
        model = generation.FewShotGenerator(self.state.slow, self.info)
        panels = []
        for index in heldout:
            support = episodes.support(self.bank, index, shots, self.cfg.run.seed)
            model.adapt(support, seed=self.cfg.run.seed)
            generated = model.generate(GRID_ROWS * shots, seed=self.cfg.run.seed)
            panels.append(pictures.panel(support, generated, columns=shots))
        path = self.workdir / "samples" / f"{step}.png"
        pictures.save(path, pictures.side_by_side(panels))
        say(f"wrote {path}")

    _sampled = False


def say(text):
    """Prints a line of narration at once."""
    print(text, flush=True)


def _narrate(step, steps, record, rate, left):
    minutes, seconds = divmod(round(left), 60)
    say(
        f"meta-step {step}/{steps}  critic {record['critic_loss']:.3f}  generator "
        f"{record['generator_loss']:.3f}  penalty {record['gradient_penalty']:.3f}  "
        f"{rate:.2f} meta-steps/s  {minutes}:{seconds:02d} left"
    )


def _size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _stride(bank):
    """About a thousand images show the background of all."""
    return max(1, len(bank.images) // 1000)


def _truncate(path, step):
    """Drops the records of meta-steps after `step`: they will be done again."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n")]
        kept = [line for line in kept if json.loads(line)["step"] <= step]
        files.write_bytes(path, "".join(kept).encode())


def _event_writer(workdir):
    try:
        module = importlib.import_module("tensorboardX")
    except ImportError as error:
        raise BadInput(
            "--config.run.tensorboard=True: needs `pip install -e '.[tensorboard]'`"
        ) from error
    return module.SummaryWriter(str(workdir / "tensorboard"))
