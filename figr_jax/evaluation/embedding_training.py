"""Trains the embeddings that metrics compare images by, on training classes alone.

The prototypical one (Snell et al. 2017) tells classes apart, SimCLR (Chen et al. 2020)
tells images apart.
"""

import functools

import jax
import numpy as np
import optax
import tqdm
from flax import linen as nn
from jax import numpy as jnp

from figr_jax import conv4
from figr_jax.common import compilation
from figr_jax.common.errors import say
from figr_jax.evaluation import metrics, views

STEPS = {"prototypical": 3000, "simclr": 500}

_WAYS = 40  # classes in an episode
_DISTANCE = 16  # squared, of features: what the softmax takes as 1
_RATE = 2e-3  # of Adam, after a warm-up
_WARM_UP = 50  # steps
_BATCH = 64  # images of a step of SimCLR, each seen twice
_TEMPERATURE = 0.5  # of NT-Xent
_DRAWS = 10  # of prototypes, for the accuracy; each draw classifies all other images
_SHOW_EVERY = 100  # steps


def _apply(params, statistics, x):
    variables = {"params": params, "batch_stats": statistics}
    y, changed = conv4.Conv4().apply(variables, x, train=True, mutable=["batch_stats"])
    return y, changed["batch_stats"]


def _prototypical_loss(params, statistics, images, key):
    """Negative log-likelihood of the queries' classes (Snell et al. 2017, equation 2).

    `images` are `[2 * ways, ...]`, two of each class. Each is once the prototype and
    once the query: two episodes for the price of one.
    """
    del key
    features, statistics = _apply(params, statistics, conv4.prepare(images))
    first, second = features[::2], features[1::2]
    distances = ((first[:, None] - second) ** 2).sum(-1) / _DISTANCE
    return -sum(
        jnp.diag(jax.nn.log_softmax(-distances, axis)).mean() / 2 for axis in (0, 1)
    ), statistics


def _simclr_loss(params, statistics, images, key):
    """NT-Xent between two views of each image (Chen et al. 2020, equation 1)."""
    x = conv4.prepare(images)
    keys = jax.random.split(key)
    seen = jnp.concatenate([views.view(k, x) for k in keys])
    features, statistics = _apply(params["network"], statistics, seen)
    hidden = nn.relu(features @ params["head"][0])
    z = hidden @ params["head"][1]
    z /= jnp.linalg.norm(z, axis=1, keepdims=True) + 1e-6
    similar = z @ z.T / _TEMPERATURE - 1e9 * jnp.eye(len(z))
    logs = jax.nn.log_softmax(similar, axis=1)
    other = jnp.roll(jnp.arange(len(z)), len(x))
    return -logs[jnp.arange(len(z)), other].mean(), statistics


def _draw_episode(draw, start, classes):
    """Rows of two images of each of `_WAYS` classes."""
    ways = min(_WAYS, len(classes))
    rows = []
    for label in draw.choice(classes, ways, replace=False):
        inside = np.arange(start[label], start[label + 1])
        rows.append(draw.choice(inside, 2, replace=False))
    return np.concatenate(rows)


def train(bank, classes, kind, seed):
    """Trains an embedding.

    Args:
      bank: `bank.Bank`.
      classes: `[k]` indices of the classes to train on: none that is held out.
      kind: a key of `STEPS`.
      seed: of every random draw.

    Returns:
      The variables of `Conv4`.
    """
    start, steps = np.asarray(bank.class_start), STEPS[kind]
    classes = np.asarray([c for c in classes if start[c + 1] - start[c] > 1])
    rows = np.concatenate([np.arange(start[c], start[c + 1]) for c in classes])
    draw, key = np.random.default_rng(seed), jax.random.key(seed)
    params, statistics = _init(key, bank.images.shape[-1], kind)
    loss = {"prototypical": _prototypical_loss, "simclr": _simclr_loss}[kind]
    optimizer = optax.adam(
        optax.warmup_cosine_decay_schedule(0, _RATE, min(_WARM_UP, steps - 1), steps)
    )

    def step(params, statistics, state, images, key):
        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(
            params, statistics, images, key
        )
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), statistics, state, value

    step = jax.jit(step, compiler_options=compilation.options())
    state = optimizer.init(params)
    say(f"training the {kind} embedding on {len(classes):,} classes, once; compiling")
    values = []
    for i in (bar := tqdm.trange(steps, unit=" steps", desc=kind)):
        if kind == "simclr":
            chosen = draw.choice(rows, _BATCH)
        else:
            chosen = _draw_episode(draw, start, classes)
        params, statistics, state, value = step(
            params, statistics, state, bank.images[chosen], jax.random.fold_in(key, i)
        )
        values.append(value)
        if (i + 1) % _SHOW_EVERY == 0:
            bar.set_postfix(loss=f"{np.mean(values):.3f}")
            values = []

    params = params["network"] if kind == "simclr" else params
    return {"params": params, "batch_stats": statistics}


def _init(key, channels, kind):
    """Initialises the parameters and batch statistics of a network."""
    images = jnp.zeros((1, conv4.SIZE, conv4.SIZE, channels))
    init = jax.jit(functools.partial(conv4.Conv4().init, train=False))
    variables = init(key, images)
    params, statistics = variables["params"], variables["batch_stats"]
    if kind == "simclr":
        shapes = [(conv4.FEATURES, conv4.FEATURES), (conv4.FEATURES, 128)]
        init = nn.initializers.lecun_normal()
        head = [init(jax.random.fold_in(key, i), s) for i, s in enumerate(shapes)]
        params = {"network": params, "head": head}
    return params, statistics


def accuracy(embedding, bank, classes, seed):
    """Computes the 20-way 1-shot accuracy on real images of held-out classes.

    Args:
      embedding: `conv4.Embedding`.
      bank: `bank.Bank`.
      classes: `[k]` class indices.
      seed: of the choice of prototypes.

    Returns:
      A number in [0, 1].
    """
    draw = np.random.default_rng(seed)
    images = [bank.class_images(c) for c in classes]
    features = embedding.of_sets(images)
    accuracies = []
    for _ in range(_DRAWS):
        chosen = [draw.integers(len(f)) for f in features]
        prototypes = np.stack([f[i] for f, i in zip(features, chosen, strict=True)])
        for label, (f, i) in enumerate(zip(features, chosen, strict=True)):
            rest = np.delete(f, i, axis=0)
            accuracies.append(metrics.recognizability(rest, label, prototypes))
    return float(np.concatenate(accuracies).mean())
