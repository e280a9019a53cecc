"""The frozen embeddings that metrics compare images by: trained here, on other classes.

Two of one network, Conv4-64 with 256 features (Boutin et al. 2022, appendix): a
prototypical one (Snell et al. 2017), which knows classes apart, and SimCLR (Chen et al.
2020), which knows images apart. Both see images at 50x50, grey ones binarised at 0.5.
"""

import functools
import hashlib
import json
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util
from jax import numpy as jnp

from figr_jax import compilation, files
from figr_jax.data import datasets
from figr_jax.errors import BadInput, say, warn
from figr_jax.evaluation import controls, metrics

SIZE = 50  # height and width that the network sees, pixels
FEATURES = 256
STEPS = {"prototypical": 3000, "simclr": 500}

_WAYS = 40  # classes in an episode
_DISTANCE = 16  # squared, of features: what the softmax takes as 1
_RATE = 2e-3  # of Adam, after a warm-up
_WARM_UP = 50  # steps
_BATCH = 64  # images of a step of SimCLR, each seen twice
_TEMPERATURE = 0.5  # of NT-Xent
_SAY_EVERY = 100  # steps
_AT_ONCE = 32  # images that are embedded; 256 took 1.9 times as long, on two CPU cores
_FORMAT = 1  # of what is cached; another one is trained anew


class Conv4(nn.Module):
    """Four times (3x3 convolution, batch norm, ReLU, 2x2 max pooling), then dense."""

    @nn.compact
    def __call__(self, x, train):
        """Maps `[N, SIZE, SIZE, C]` to `[N, FEATURES]`."""
        for _ in range(4):
            x = nn.Conv(64, (3, 3))(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=0.95)(x)
            x = _pool(nn.relu(x))
        return nn.Dense(FEATURES)(x.reshape(len(x), -1))


def _pool(x):
    """2x2 max pooling; the derivative of `nn.max_pool` is slow on the CPU."""
    n, height, width, channels = x.shape
    height, width = height // 2, width // 2
    x = x[:, : 2 * height, : 2 * width]
    return x.reshape(n, height, 2, width, 2, channels).max((2, 4))


def prepare(images):
    """Converts images for the network: uint8 to `[N, SIZE, SIZE, C]` in [0, 1]."""
    n, _, _, channels = images.shape
    x = images.astype(jnp.float32) / 255
    x = jax.image.resize(x, (n, SIZE, SIZE, channels), "linear")
    return (x > 0.5).astype(jnp.float32) if channels == 1 else x


class Embedding(NamedTuple):
    """A trained network.

    Attributes:
      variables: of `Conv4`.
      record: what it is: kind, seed, steps, and of the prototypical one its accuracy
        on held-out classes.
    """

    variables: Any
    record: dict

    def __call__(self, images):
        """Features of images: `[n, H, W, C]` uint8 to `[n, FEATURES]` float32."""
        found = []
        for first in range(0, len(images), _AT_ONCE):
            some = np.asarray(images[first : first + _AT_ONCE])
            short = _AT_ONCE - len(some)
            padded = np.concatenate([some, np.repeat(some[:1], short, 0)])
            found.append(np.asarray(_embed(self.variables, padded))[: len(some)])
        return np.concatenate(found or [np.zeros((0, FEATURES), np.float32)])


@jax.jit
def _embed(variables, images):
    return Conv4().apply(variables, prepare(images), train=False)


def _apply(params, statistics, x):
    variables = {"params": params, "batch_stats": statistics}
    y, changed = Conv4().apply(variables, x, train=True, mutable=["batch_stats"])
    return y, changed["batch_stats"]


def _prototypical_loss(params, statistics, images, key):
    """Negative log-likelihood of the queries' classes (Snell et al. 2017, equation 2).

    `images` are `[2 * ways, ...]`, two of each class. Each is once the prototype and
    once the query: two episodes for the price of one.
    """
    del key
    features, statistics = _apply(params, statistics, prepare(images))
    first, second = features[::2], features[1::2]
    distances = ((first[:, None] - second) ** 2).sum(-1) / _DISTANCE
    return -sum(
        jnp.diag(jax.nn.log_softmax(-distances, axis)).mean() / 2 for axis in (0, 1)
    ), statistics


def _simclr_loss(params, statistics, images, key):
    """NT-Xent between two views of each image (Chen et al. 2020, equation 1)."""
    x = prepare(images)
    keys = jax.random.split(key)
    views = [controls.transform(k, x, controls.STRONG) for k in keys]
    features, statistics = _apply(params["network"], statistics, jnp.concatenate(views))
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


def train(bank, classes, kind, seed, steps=None):
    """Trains an embedding.

    Args:
      bank: `bank.Bank`.
      classes: `[k]` indices of the classes to train on: none that is held out.
      kind: a key of `STEPS`.
      seed: of every random draw.
      steps: how many; by default `STEPS[kind]`.

    Returns:
      The variables of `Conv4`.
    """
    steps = steps or STEPS[kind]
    start = np.asarray(bank.class_start)
    classes = np.asarray([c for c in classes if start[c + 1] - start[c] > 1])
    rows = np.concatenate([np.arange(start[c], start[c + 1]) for c in classes])
    draw, key = np.random.default_rng(seed), jax.random.key(seed)
    channels = bank.images.shape[-1]
    shape = jnp.zeros((1, SIZE, SIZE, channels))
    variables = jax.jit(functools.partial(Conv4().init, train=False))(key, shape)
    params, statistics = variables["params"], variables["batch_stats"]
    loss = _prototypical_loss
    if kind == "simclr":
        loss = _simclr_loss
        shapes = [(FEATURES, FEATURES), (FEATURES, 128)]
        init = nn.initializers.lecun_normal()
        head = [init(jax.random.fold_in(key, i), s) for i, s in enumerate(shapes)]
        params = {"network": params, "head": head}
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
    values, begin = [], None
    for i in range(steps):
        if kind == "simclr":
            chosen = draw.choice(rows, _BATCH)
        else:
            chosen = _draw_episode(draw, start, classes)
        params, statistics, state, value = step(
            params, statistics, state, bank.images[chosen], jax.random.fold_in(key, i)
        )
        values.append(value)
        if begin is None:
            jax.block_until_ready(value)
            begin = time.perf_counter()
        elif (i + 1) % _SAY_EVERY == 0:
            rate = i / (time.perf_counter() - begin)
            minutes, seconds = divmod(round((steps - i - 1) / rate), 60)
            mean = float(np.mean(values[-_SAY_EVERY:]))
            say(
                f"  step {i + 1}/{steps}  loss {mean:.3f}  {rate:.1f} steps/s  "
                f"{minutes}:{seconds:02d} left"
            )
    params = params["network"] if kind == "simclr" else params
    return {"params": params, "batch_stats": statistics}


def accuracy(embedding, bank, classes, seed, draws=10, ways=20):
    """`ways`-way 1-shot accuracy on real images of held-out classes.

    Args:
      embedding: `Embedding`.
      bank: `bank.Bank`.
      classes: `[k]` class indices.
      seed: of the choice of prototypes.
      draws: of prototypes; each draw judges all other images.
      ways: classes in an episode.

    Returns:
      A number in [0, 1].
    """
    draw = np.random.default_rng(seed)
    images = [bank.class_images(c) for c in classes]
    ends = np.cumsum([len(x) for x in images])[:-1]
    features = np.split(embedding(np.concatenate(images)), ends)  # in large batches
    found = []
    for _ in range(draws):
        chosen = [draw.integers(len(f)) for f in features]
        prototypes = np.stack([f[i] for f, i in zip(features, chosen, strict=True)])
        for label, (f, i) in enumerate(zip(features, chosen, strict=True)):
            rest = np.delete(f, i, axis=0)
            labels = np.full(len(rest), label)
            found.append(metrics.recognizability(rest, labels, prototypes, ways))
    return float(np.concatenate(found).mean())


def load(bank, split, kind, seed=0, steps=None):
    """Loads the embedding of a data set from the cache, or trains it.

    Args:
      bank: `bank.Bank`.
      split: `splits.Split`; its held-out classes are not trained on.
      kind: a key of `STEPS`.
      seed: of every random draw.
      steps: of training; by default `STEPS[kind]`.

    Returns:
      An `Embedding`.
    """
    training, heldout = split.indices(bank.names)
    what = {
        "format": _FORMAT,
        "kind": kind,
        "seed": seed,
        "steps": steps or STEPS[kind],
        "version": bank.version,
        "heldout": sorted(split.heldout),
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    folder = pathlib.Path(bank.images.filename).parent
    path = folder.with_name(f"{folder.name}-{kind}-{digest}.npz")
    stored = _read(path)
    if stored:
        return stored
    variables = train(bank, training, kind, seed, steps)
    embedding = Embedding(
        variables, {"kind": kind, "seed": seed, "steps": what["steps"]}
    )
    if kind == "prototypical":
        found = accuracy(embedding, bank, heldout, seed)
        embedding.record["heldout_accuracy"] = found
        ways = min(20, len(heldout))
        say(f"  {ways}-way 1-shot, {len(heldout)} held-out classes: {found:.1%}")
    try:
        _write(path, embedding)
    except OSError as error:  # prepared data may be shared and read-only
        warn(f"the {kind} embedding is not kept: {error}")
    return embedding


def load_all(bank, split, seed=0):
    """Loads the prototypical and the SimCLR embedding of a data set, see `load`.

    Raises:
      BadInput: if it is a mix: embeddings are of one data set.
    """
    names = datasets.parts(bank.dataset)
    if len(names) > 1:
        raise BadInput(
            f"{bank.dataset}: one data set at a time can be measured; give evaluate "
            f"--dataset={names[0]} or another one, and train with "
            "--config.run.evaluate_every=0"
        )
    return [load(bank, split, kind, seed) for kind in STEPS]


def _write(path, embedding):
    flat = traverse_util.flatten_dict(embedding.variables, sep="/")
    arrays = jax.tree.map(np.asarray, flat)
    files.write_arrays(path, {"record": json.dumps(embedding.record), **arrays})


def _read(path):
    """Reads the cache; None if there is no intact one."""
    if not path.exists():
        return None
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        record = json.loads(str(arrays.pop("record")))
    except Exception as error:  # a damaged archive raises many kinds
        say(f"{path}: damaged ({error}); trained anew")
        return None
    return Embedding(traverse_util.unflatten_dict(arrays, sep="/"), record)
