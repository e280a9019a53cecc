"""The protocol: adapt to held-out classes, draw, compare with what was not shown.

For each held-out class and several draws of supports the model adapts to n images and
draws m new ones, which are compared with the OTHER real images of the class. Beside the
model stand controls that use no model, in the same table.
"""

import functools
import hashlib
import json
import time
from typing import NamedTuple

import jax
import numpy as np
import tqdm
from jax import lax
from jax import numpy as jnp
from scipy.spatial import distance

from figr_jax import adaptation, compilation, files
from figr_jax.data import images
from figr_jax.errors import BadInput, say
from figr_jax.evaluation import controls, metrics

BESIDE = 5  # images of a class beside its support: a prototype, and two halves of two
REPORTED = 50  # classes of a report, at most; further ones are for tuning
WAYS = 20  # classes in an episode of recognizability
_FEW = 2  # images of a training class, to find the nearest one by
_CHUNK = 500  # inner steps in one call of the device; the progress bar moves after each
_CLASSES = 10  # classes in one call, at most
_MOST = 64  # real images of a class in each half, at most


class Draw(NamedTuple):
    """One draw of supports, and what they are judged by.

    Attributes:
      supports: `[classes, shots, H, W, C]` uint8.
      prototypes: `[classes + distractors, H, W, C]` uint8, another real image of each
        class, then one of each further class that an image may be taken for.
      reference: for each class half of its other images, `[n, H, W, C]` uint8: what
        generated images are compared with.
      real: for each class the other half, `[m, H, W, C]` uint8: the control that shows
        how near to the reference anything can come.
    """

    supports: np.ndarray
    prototypes: np.ndarray
    reference: list[np.ndarray]
    real: list[np.ndarray]


def draw_supports(bank, classes, shots, seed, eligible=()):
    """Draws a support for each class.

    Args:
      bank: `bank.Bank`.
      classes: `[k]` class indices, each with at least shots + `BESIDE` images.
      shots: support images n.
      seed: of the draw; the support of more shots begins with that of fewer.
      eligible: class indices; those not among `classes` give distractors.

    Returns:
      A `Draw`.
    """
    supports, prototypes, reference, real = [], [], [], []
    for index in classes:
        found = bank.class_images(index)
        order = np.random.default_rng([seed, index]).permutation(len(found))
        supports.append(found[order[:shots]])
        prototypes.append(found[order[-1]])
        reference.append(found[order[shots:-1:2][:_MOST]])
        real.append(found[order[shots + 1 : -1 : 2][:_MOST]])
    for index in np.setdiff1d(eligible, classes):
        found = bank.class_images(index)
        order = np.random.default_rng([seed, index]).permutation(len(found))
        prototypes.append(found[order[-1]])
    return Draw(np.stack(supports), np.stack(prototypes), reference, real)


def find_eligible(bank, heldout, shots):
    """The held-out classes that can be judged; says how many are left out.

    Args:
      bank: `bank.Bank`.
      heldout: `[k]` class indices.
      shots: support images n.

    Returns:
      Class indices, sorted.

    Raises:
      BadInput: if there are fewer than 2.
    """
    least = shots + BESIDE
    enough = heldout[np.diff(bank.class_start)[heldout] >= least]
    if len(enough) < 2:
        raise BadInput(
            f"{bank.dataset}: {len(enough)} held-out classes with at least {least} "
            f"images ({shots} to adapt to, {BESIDE} to judge by); 2 are needed"
        )
    if len(enough) < len(heldout):
        say(
            f"{len(heldout) - len(enough)} held-out classes have fewer than {least} "
            f"images ({shots} to adapt to, {BESIDE} to judge by) and are left out"
        )
    return np.sort(enough)


def choose(classes, count, seed):
    """Some of the classes by seed, sorted; all if `count` is 0 or too many."""
    order = np.random.default_rng(seed).permutation(len(classes))
    return np.sort(classes[order[: count or None]])


def tuning_classes(eligible):
    """Held-out classes that no report of at most `REPORTED` classes measures.

    A recipe may be chosen by them. Reports choose by seed 0.

    Args:
      eligible: class indices, see `find_eligible`.

    Returns:
      Class indices, sorted; none where all classes are in reports.
    """
    return np.setdiff1d(eligible, choose(eligible, REPORTED, 0))


@functools.cache
def _compile(networks, inner, shots, count, at, size):
    """Adapts to a chunk of `size` supports, draws after the inner steps `at`."""
    wanted = np.isin(np.arange(inner.steps) + 1, at)
    kept = [step - 1 for step in at if step]

    def one(slow, support, key):
        noise_key, latent_key = jax.random.split(key)
        noise = adaptation.draw_noise(noise_key, networks, shots, inner)
        latents = jax.random.normal(
            latent_key, (count * inner.best_of, networks.latent)
        )
        latents = inner.latent_scale * latents.reshape(count, inner.best_of, -1)

        def draw(fast, latents):
            best = adaptation.choose_candidates(
                networks, fast, support, latents, inner.loss
            )
            chosen = latents[np.arange(count), best]
            return images.to_uint8(networks.generate(fast.generator, chosen, support))

        first = draw(slow, latents)

        def step(state, given):
            noise, is_wanted = given
            state, _ = adaptation.inner_step(
                networks, state, adaptation.Episode(support), noise, inner
            )
            drawn = lax.cond(
                is_wanted, lambda fast: draw(fast, latents), lambda _: first, state.fast
            )
            return state, drawn

        state = adaptation.init_state(slow, inner)
        _, drawn = lax.scan(step, state, (noise, wanted))
        drawn = drawn[np.array(kept, int)]
        return jnp.concatenate([first[None], drawn]) if 0 in at else drawn

    def chunk(slow, supports, keys):
        supports = images.to_float(supports)
        # One after another on the CPU, where that is faster (experiments/speed/tasks).
        together = None if jax.default_backend() == "cpu" else len(supports)
        return lax.map(lambda x: one(slow, *x), (supports, keys), batch_size=together)

    slow = jax.eval_shape(networks.init, jax.random.key(0))
    side, channels = networks.image_size, networks.channels
    supports = jax.ShapeDtypeStruct((size, shots, side, side, channels), np.uint8)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), size))
    chunk = jax.jit(chunk, compiler_options=compilation.options())
    return chunk.lower(slow, supports, keys).compile()


def adapt_and_draw(networks, inner, slow, supports, seed, count, at=None, what="model"):
    """Adapts to each class and draws images.

    Args:
      networks: `networks.Networks`.
      inner: `adaptation.Inner`.
      slow: slow parameters, `networks.GanParams`.
      supports: `[classes, shots, H, W, C]` uint8.
      seed: of noise and latents.
      count: images to draw of each class.
      at: ascending numbers of inner steps after which to draw, the last one
        `inner.steps`; by default that alone.
      what: what is done, for the progress bar.

    Returns:
      `[classes, len(at), count, H, W, C]` uint8, and the seconds a class took, without
      compilation.
    """
    at = tuple(at or (inner.steps,))
    keys = jax.random.split(jax.random.key(seed), len(supports))
    drawn, seconds = [], []
    size = min(_CLASSES, len(supports), max(1, _CHUNK // max(1, inner.steps)))
    function = _compile(networks, inner, supports.shape[1], count, at, size)
    with tqdm.tqdm(total=len(supports), desc=what, unit=" classes") as bar:
        for first in range(0, len(supports), size):
            # The last chunk is padded.
            rows = np.arange(first, first + size) % len(supports)
            begin = time.perf_counter()
            result = np.asarray(function(slow, supports[rows], keys[rows]))
            seconds.append((time.perf_counter() - begin) / size)
            left = min(size, len(supports) - first)
            drawn.append(result[:left])
            bar.update(left)
    return np.concatenate(drawn), float(np.median(seconds))


def neighbours(draws):
    """The k of the manifold metrics, at most 5.

    Half of the smallest class: else a ball about a point reaches into another class.
    """
    sizes = [len(x) for draw in draws for x in (*draw.reference, *draw.real)]
    return max(1, min(5, min(sizes) // 2))


class Judge:
    """Compares images with what was not shown, in the features of two embeddings."""

    def __init__(self, prototypical, simclr):
        """Takes the two `embedding.Embedding`s."""
        self._embeddings = prototypical, simclr
        self._known = {}

    def class_means(self, sets):
        """Mean prototypical features of each set: `[sets, F]`."""
        ends = np.cumsum([len(x) for x in sets])[:-1]
        features = self._embeddings[0](np.concatenate(sets))
        return np.stack([x.mean(0) for x in np.split(features, ends)])

    def features(self, sets):
        """Features of sets of images.

        Args:
          sets: list of `[n, H, W, C]` uint8.

        Returns:
          For each set its prototypical and its SimCLR features, `[n, F]` each.
        """
        ends = np.cumsum([len(x) for x in sets])[:-1]
        pixels = np.concatenate(sets)  # else each set would be filled up to a batch
        parts = [np.split(embed(pixels), ends) for embed in self._embeddings]
        return list(zip(*parts, strict=True))

    def _remembered(self, sets):
        """`features` of real images, which come again and again."""
        keys = [hashlib.sha256(np.ascontiguousarray(x)).digest() for x in sets]
        new = {k: x for k, x in zip(keys, sets, strict=True) if k not in self._known}
        if new:
            found = self.features(list(new.values()))
            self._known.update(zip(new, found, strict=True))
        return [self._known[key] for key in keys]

    def __call__(self, drawn, draw):
        """Judges the images of each class.

        Args:
          drawn: for each class `[m, H, W, C]` uint8.
          draw: the `Draw` that they are from.

        Returns:
          A dict of the metrics of each class, `[classes]` floats.
        """
        ((prototypes, _),) = self._remembered([draw.prototypes])
        ours, reference = self.features(drawn), self._remembered(draw.reference)
        supports = self._remembered(draw.supports)
        names = "recognizability", "diversity", "vendi", "kid", "copying"
        found = {name: [] for name in names}
        # As many as there are real ones: these metrics depend on how many images.
        same = [len(x) for x in draw.real]
        centre = np.concatenate([x for _, x in reference]).mean(0)
        for label, (classy, varied) in enumerate(ours):
            labels = np.full(len(classy), label)
            right = metrics.recognizability(classy, labels, prototypes, WAYS)
            found["recognizability"].append(right.mean())
            few = varied[: same[label]]
            found["diversity"].append(metrics.diversity(few))
            found["vendi"].append(metrics.vendi(few - centre))
            real = [x.astype(np.float64) for x in reference[label]]
            found["kid"].append(metrics.kid(real[0], classy.astype(np.float64)))
            support = supports[label][1]
            found["copying"].append(metrics.copying(varied, real[1], support))
        found = {name: np.array(values) for name, values in found.items()}
        ours = [f[0][:m] for f, m in zip(ours, same, strict=True)]
        reference = [f[0] for f in reference]
        sizes = [np.array([len(f) for f in sets]) for sets in (reference, ours)]
        sets = [np.concatenate(sets).astype(np.float64) for sets in (reference, ours)]
        k = neighbours([draw])
        for name, values in metrics.manifold(*sets, k).items():
            of = sizes[0] if name in ("recall", "coverage") else sizes[1]
            found[name] = metrics.by_class(values, of)
        return found


def summary(values, seed):
    """Mean and 95 % bootstrap interval over classes of each metric.

    Args:
      values: dict: name of a metric to `[draws, classes]` floats.
      seed: of the bootstrap.

    Returns:
      A dict: name to `mean`, `low` and `high`; with `pooled_copying` beside `copying`.
    """
    values = {name: value.mean(0) for name, value in values.items()}
    statistics = {name: lambda i, v=v: v[i].mean() for name, v in values.items()}
    # Stouffer: the sum of independent z-scores over the root of their number.
    z = values["copying"]
    statistics["pooled_copying"] = lambda i: z[i].sum() / np.sqrt(len(z))
    found = {}
    for name, statistic in statistics.items():
        low, high = metrics.bootstrap(statistic, len(z), seed)
        mean = float(statistic(np.arange(len(z))))
        found[name] = {"mean": mean, "low": low, "high": high}
    return found


def judge_all(judge, drawn, draws):
    """The metrics of one row of the table: a dict, `[draws, classes]` floats each."""
    judged = [judge(sets, draw) for sets, draw in zip(drawn, draws, strict=True)]
    return {name: np.stack([found[name] for found in judged]) for name in judged[0]}


class Images:
    """The images of a report's arms, made once: a report goes on where it stopped."""

    def __init__(self, folder, model, seed, count):
        """Keeps them in `folder`, under names that tell all that they depend on."""
        what = [model.info["checksums"], model.info["config"], seed, count]
        # Other code or another device draws a little otherwise, and in another time.
        what += [compilation.describe_code(), jax.devices()[0].device_kind]
        text = json.dumps(what, sort_keys=True)
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:12]
        self._folder.mkdir(parents=True, exist_ok=True)

    def get(self, name, what, supports, make):
        """What `make()` returns, a dict of arrays.

        Args:
          name: of the file, for people.
          what: JSON-able: all else that the arrays depend on.
          supports: array that they depend on.
          make: function of nothing.
        """
        digest = hashlib.sha256(json.dumps(what).encode())
        digest.update(np.ascontiguousarray(supports))
        digest = digest.hexdigest()[:12]
        path = self._folder / f"{name}-{digest}.npz"
        if path.exists():
            try:
                with np.load(path) as stored:
                    return {key: stored[key] for key in stored.files}
            except Exception as error:  # a damaged archive raises many kinds
                say(f"{path}: damaged ({error}); made anew")
        arrays = make()
        files.write_arrays(path, arrays)
        return arrays


def embed_classes(judge, bank, classes):
    """Where classes lie, by a few images of each: `[classes, F]`."""
    found = (bank.class_images(c) for c in classes)
    return judge.class_means([x[:: -(-len(x) // _FEW)] for x in found])


def make_controls(judge, draw, bank, training, known, count, seed):
    """The controls that use no model.

    Args:
      judge: `Judge`.
      draw: `Draw`.
      bank: `bank.Bank`.
      training: indices of the training classes.
      known: what `embed_classes` found of them.
      count: images of each class.
      seed: of the jitter.

    Returns:
      A dict: name to a list of `[m, H, W, C]` uint8, one a class.
    """
    distances = distance.cdist(judge.class_means(draw.supports), known)
    nearest = training[distances.argmin(1)]
    keys = jax.random.split(jax.random.key(seed), len(draw.supports))
    jitter = [
        controls.jitter(x, count, key)
        for x, key in zip(draw.supports, keys, strict=True)
    ]
    return {
        "held-out real": draw.real,
        "support copied": [controls.copy(x, count) for x in draw.supports],
        "support jittered": jitter,
        "nearest training class": [bank.class_images(c)[:count] for c in nearest],
    }
