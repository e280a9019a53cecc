"""The start of a run: fresh, from other weights, resumed, or rewound."""

from typing import NamedTuple

import jax
import numpy as np
import optax
from jax import numpy as jnp

from figr_jax import build, checkpoints, config, generation, reptile
from figr_jax.common import compilation
from figr_jax.common.errors import BadInput, FailedWork, say, warn


class Start(NamedTuple):
    """The state that training starts from.

    Attributes:
      state: `reptile.ReptileState`.
      rewinds: number of rewinds so far.
      info: info record of the loaded checkpoint; None for a new run.
      split: split of the weights of `run.init_from`, as a dict; None without them.
    """

    state: reptile.ReptileState
    rewinds: int = 0
    info: dict | None = None
    split: dict | None = None


def find_start(cfg, workdir):
    """Loads the newest good checkpoint of a run, or initializes its networks.

    Args:
      cfg: the run's config.
      workdir: `pathlib.Path`, the run's folder.

    Returns:
      A `Start`.

    Raises:
      BadInput: if the config may not continue the run, or `run.init_from` has other
        networks.
      FailedWork: if all checkpoints are damaged.
    """
    networks, optimizer = build.networks(cfg), build.outer(cfg)

    def init(seed):
        # No meta-step has this number, so no other draw has this key.
        key = jax.random.fold_in(jax.random.key(seed), np.uint32(2**32 - 1))
        return reptile.init(networks, key, optimizer)

    def load(path):
        info = checkpoints.read_info(path)
        changes = config.check_resume(cfg, config.from_dict(info["config"]))
        shapes = jax.eval_shape(init, cfg.run.seed)
        state = _load_state(path, shapes, info)
        say(f"resuming from {path}")
        for change in changes:
            say(f"changed since the last save: {change}")
        return Start(state, info.get("rewinds", 0), info)

    stored = checkpoints.load_checkpoint(workdir, load)
    if stored:
        return stored
    say("initializing the networks")
    # Jitted, since op by op this takes longer than many meta-steps.
    state = jax.jit(init, compiler_options=compilation.options())(cfg.run.seed)
    if not cfg.run.init_from:
        return Start(state)
    model = generation.load(cfg.run.init_from, "--config.run.init_from")
    _check_networks(cfg, model, state.slow)
    say(f"starting from the weights of {cfg.run.init_from}")
    slow = jax.tree.map(jnp.asarray, model.slow)
    return Start(state._replace(slow=slow), split=model.info["split"])


def _load_state(path, shapes, info):
    """Loads a `reptile.ReptileState`, also from formats without the decay's state."""
    if info["format"] >= 3:
        return checkpoints.load(path, "state", shapes, info)
    older = shapes._replace(optimizer=shapes.optimizer[0])
    state = checkpoints.load(path, "state", older, info)
    decay = optax.ScaleByScheduleState(state.step)
    return state._replace(optimizer=(state.optimizer, decay))


def _check_networks(cfg, model, slow):
    """Compares the networks of `run.init_from` with those of the run.

    Warns of fields that differ but leave the shapes of the parameters equal.

    Raises:
      BadInput: if the model's parameters have other shapes than `slow`.
    """
    path = cfg.run.init_from

    def shapes(params):
        leaves, _ = jax.tree_util.tree_flatten_with_path(params)
        return {jax.tree_util.keystr(where): leaf.shape for where, leaf in leaves}

    if shapes(model.slow) != shapes(slow):
        sizes = model.config.dataset
        raise BadInput(
            f"--config.run.init_from={path}: its networks are "
            f"{dict(model.config.networks)} for {sizes.image_size} pixels and "
            f"{sizes.channels} channels; give this run the same"
        )
    for name, value in model.config.networks.items():
        if f"networks.{name}" in config.FIXED and value != cfg.networks[name]:
            warn(
                f"--config.networks.{name}={cfg.networks[name]}: {path} was trained "
                f"with {value}; images are worse at first; set {value} to avoid this"
            )


class Diverged(Exception):
    """Losses or parameters are no longer finite."""


def rewind(cfg, workdir, store, rewinds, error):
    """Goes back to the newest good checkpoint, or to the start of the run.

    Args:
      cfg: the run's config.
      workdir: `pathlib.Path`, the run's folder.
      store: its `store.Store`.
      rewinds: number of rewinds before this one.
      error: `Diverged`.

    Returns:
      A `Start`, whose episodes get another seed, see `episode_seed`.

    Raises:
      FailedWork: if the config allows no rewind, or no further one.
    """
    store.wait()
    if cfg.run.on_divergence == "stop":
        raise FailedWork(
            f"{error}; {store.describe_newest()}; try a smaller "
            "--config.inner.learning_rate or --config.outer.learning_rate, another "
            "--config.inner.penalty_weight, or --config.run.on_divergence=rewind"
        )
    if rewinds >= cfg.run.rewinds:
        raise FailedWork(
            f"{error}, also after {rewinds} rewinds (--config.run.rewinds); "
            f"{store.describe_newest()}; try a smaller "
            "--config.inner.learning_rate or --config.outer.learning_rate"
        )
    start = find_start(cfg, workdir)._replace(rewinds=rewinds + 1)
    step = int(start.state.step)
    warn(
        f"{error}; returned to meta-step {step} with other episodes (rewind "
        f"{start.rewinds} of {cfg.run.rewinds})"
    )
    store.go_back(step)
    return start


def episode_seed(seed, rewinds):
    """Returns the seed of the episodes: the run's, or another after each rewind."""
    if not rewinds:
        return seed
    return int(np.random.SeedSequence([seed, rewinds]).generate_state(1)[0] >> 1)
