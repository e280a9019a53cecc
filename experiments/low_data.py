"""Accuracy of classifiers of few real images, with and without generated ones.

python experiments/low_data.py --checkpoint=omniglot-32

The one public table with FIGR on Omniglot is that of MatchingGAN (Hong et al. 2020) and
F2GAN (Hong et al. 2020): a classifier of unseen classes is trained on 5, 10 or 15 real
images of each, alone, with traditional augmentation, or with 512 generated ones of
each. The last arm combines both and is ours. Appends a line to
experiments/results/low_data.jsonl for each number of real images.

Departures, and choices where their protocol gives no detail:

- The classifier is a Conv4 with 64 channels (theirs: ResNet-18), trained by Adam with
  1e-3 and cosine decay on images of the checkpoint's size (theirs: 28x28).
- Every arm trains for the same number of steps of 64 images (theirs: 50 epochs of
  batches of 16). With generated images, half of each batch is real.
- Traditional augmentation: random affine and elastic transforms.
- The model adapts to disjoint supports of as many shots as it was trained with
  (theirs: 3), or to all real images if there are fewer, and generates equally many
  images from each. Left-over real images are in no support.
- The classes are the held-out ones of the checkpoint (theirs, for Omniglot: 1,200 seen
  and 212 unseen), tuning classes included. The test uses their other real images.
- Each value is of one choice of real images and one trained classifier. Its interval
  shows the variation over classes only.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
import optax
import records
import tqdm
from absl import flags
from flax import linen as nn
from jax import numpy as jnp

from figr_jax import build, conv4, generation
from figr_jax.common import command, compilation, errors
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, metrics, samples
from figr_jax.networks import layers

# For each arm: whether it uses generated images, and whether it augments its images.
ARMS = {
    "no augmentation": (False, False),
    "traditional augmentation": (False, True),
    "generated": (True, False),
    "generated, traditional augmentation": (True, True),
}

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder, or the name of shipped weights.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
_GENERATED = flags.DEFINE_integer(
    "generated", 512, "Images to generate per class.", lower_bound=16
)
_REAL = flags.DEFINE_multi_integer(
    "real", [5, 10, 15], "Numbers of real images per class.", lower_bound=1
)
_STEPS = flags.DEFINE_integer(
    "steps", 1500, "Training steps of each classifier.", lower_bound=1
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of all sampling.", lower_bound=0, upper_bound=2**31 - 1
)


class Options(NamedTuple):
    """Options for training the classifiers.

    Attributes:
      generated: images to generate per class.
      steps: of each classifier.
      batch: images in a step.
      seed: of every random draw.
    """

    generated: int = 512
    steps: int = 1500
    batch: int = 64
    seed: int = 0


class _Classifier(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, train):
        features = nn.relu(conv4.Conv4()(x, train))
        return layers.Dense(self.classes)(features)


def measure(model, bank, real, options):
    """Trains and tests a classifier for each arm.

    Args:
      model: `generation.FewShotGenerator`; its held-out classes are the unseen ones.
      bank: `bank.Bank` of its data set.
      real: number of real images of each class.
      options: `Options`.

    Returns:
      The number of classes, and a dict: arm to `mean`, `low` and `high` of the
      accuracy, with a 95 % bootstrap interval over classes.

    Raises:
      BadInput: if fewer than 2 classes have enough images.
    """
    _, heldout = model.split(bank).indices(bank.names)
    classes = heldout[np.diff(bank.class_start)[heldout] > real]
    if len(classes) < 2:
        raise errors.BadInput(
            f"{bank.dataset}: {len(classes)} held-out classes with more than {real} "
            "images; 2 are needed"
        )
    rng = np.random.default_rng(options.seed)
    images = [rng.permutation(bank.class_images(c)) for c in classes]
    known = np.stack([x[:real] for x in images])
    rest = [x[real:] for x in images]
    drawn = _generate(model, known, options)
    accuracy = {}
    for arm in ARMS:
        errors.say(f"{real} real images of {len(classes)} classes, {arm}")
        predict = _train(known, drawn, arm, options)
        right = [np.mean(predict(x) == label) for label, x in enumerate(rest)]
        accuracy[arm] = _summary(np.array(right), options.seed)
        errors.say(f"accuracy {np.mean(right):.1%}")
    return len(classes), accuracy


def _summary(right, seed):
    low, high = metrics.bootstrap(lambda i: right[i].mean(), len(right), seed)
    return {"mean": float(right.mean()), "low": low, "high": high}


def _generate(model, known, options):
    """`[classes, generated, H, W, C]` from disjoint supports among the known images."""
    shots = min(model.config.inner.shots, known.shape[1])
    parts = known.shape[1] // shots
    sizes = np.diff(np.linspace(0, options.generated, parts + 1).astype(int))
    drawn = [
        samples.adapt_and_draw(
            model.networks,
            build.sampling(model.config),
            model.slow,
            known[:, i * shots : (i + 1) * shots],
            options.seed + i,
            int(max(sizes)),
            label=f"support {i + 1} of {parts}",
        )[0][:, 0, :size]
        for i, size in enumerate(sizes)
    ]
    return np.concatenate(drawn, axis=1)


def _train(known, drawn, arm, options):
    """Trains a classifier; a function from `[n, H, W, C]` uint8 to `[n]` labels."""
    step, predict = _compile(len(known), arm, options)
    key = jax.random.key(options.seed)
    variables = _Classifier(len(known)).init(key, _float(known[:1, 0]), train=False)
    state = variables, _optimizer(options).init(variables["params"])
    known, drawn = jnp.asarray(known), jnp.asarray(drawn)
    # One call a step: inside a loop of XLA these convolutions take 30 times as long on
    # the CPU.
    for i in tqdm.trange(options.steps, desc=arm, unit=" steps"):
        state = jax.block_until_ready(step(state, known, drawn, key, i))

    def classify(images, batch=64):
        padded = np.resize(
            images, (-(-len(images) // batch) * batch, *images.shape[1:])
        )
        cut = np.split(padded, len(padded) // batch)
        labels = [np.asarray(predict(state[0], x)) for x in cut]
        return np.concatenate(labels)[: len(images)]

    return classify


def _float(images):
    return images.astype(jnp.float32) / 255


def _optimizer(options):
    return optax.adam(optax.cosine_decay_schedule(1e-3, options.steps))


@functools.cache
def _compile(classes, arm, options):
    classifier, optimizer = _Classifier(classes), _optimizer(options)

    def pick(key, images, count):
        keys = jax.random.split(key)
        labels = jax.random.randint(keys[0], (count,), 0, classes)
        which = jax.random.randint(keys[1], (count,), 0, images.shape[1])
        return _float(images[labels, which]), labels

    def batch(key, known, drawn):
        uses_generated, augments = ARMS[arm]
        keys = jax.random.split(key, 3)
        images, labels = pick(keys[0], known, options.batch)
        if uses_generated:
            half = options.batch // 2
            new_images, new_labels = pick(keys[2], drawn, half)
            images = images.at[:half].set(new_images)
            labels = labels.at[:half].set(new_labels)
        if augments:
            images = controls.transform(keys[1], images)
        return images, labels

    def loss(params, statistics, images, labels):
        variables = {"params": params, "batch_stats": statistics}
        logits, changed = classifier.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), changed["batch_stats"]

    def step(state, known, drawn, key, i):
        variables, optimizer_state = state
        images, labels = batch(jax.random.fold_in(key, i), known, drawn)
        gradient, statistics = jax.grad(loss, has_aux=True)(
            variables["params"], variables["batch_stats"], images, labels
        )
        updates, optimizer_state = optimizer.update(gradient, optimizer_state)
        params = optax.apply_updates(variables["params"], updates)
        return {"params": params, "batch_stats": statistics}, optimizer_state

    def predict(variables, images):
        return classifier.apply(variables, _float(images), train=False).argmax(1)

    return jax.jit(step, compiler_options=compilation.options()), jax.jit(predict)


def main():
    """Measures each number of real images and appends it to the log."""
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    dataset = model.config.dataset
    if dataset.name == "none":
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: has no data set; give another one"
        )
    size = dataset.image_size, dataset.channels
    bank = banks.load(dataset.name, *size, _DATA_DIR.value)
    options = Options(generated=_GENERATED.value, steps=_STEPS.value, seed=_SEED.value)
    for real in _REAL.value:
        classes, accuracy = measure(model, bank, real, options)
        line = {
            "checkpoint": _CHECKPOINT.value,
            "real": real,
            "accuracy": accuracy,
            "dataset": dict(dataset),
            "unseen_classes": classes,
            "options": options._asdict(),
        }
        records.append("low_data.jsonl", line)


if __name__ == "__main__":
    command.run(main)
