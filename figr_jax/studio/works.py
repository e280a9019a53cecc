"""The work of the studio's jobs: to adapt, and to set up a game for the judge."""

import copy

import numpy as np

from figr_jax import pictures, recipe
from figr_jax.errors import FailedWork
from figr_jax.evaluation import human

PREVIEW = 16  # images after each inner step
JUDGED_CLASSES = 10
_EACH = 2  # real images of a judged class, and generated ones
_SHEET = 4  # images of a sheet


class Adapted:
    """What an adaptation leaves: a model with its own fast parameters."""

    def __init__(self, model, support, seed, inner_steps):
        """Takes a `models.Model` and what it is to adapt to."""
        self.generator = copy.copy(model.generator)
        self.support, self.seed, self.inner_steps = support, seed, inner_steps


class Judged:
    """What a game leaves: what the images are, and the answers so far."""

    def __init__(self, key):
        """Takes the key of `human.shuffle`."""
        self.key, self.answers = key, {}


def adapt(adapted):
    """The work of an adaptation, told step by step.

    Args:
      adapted: `Adapted`; the job's result, once it is whole.

    Returns:
      The work, see `jobs.Job`.
    """

    def work(job):
        yield {"type": "started"}
        generator, steps = adapted.generator, adapted.inner_steps
        latents = generator.latents(PREVIEW, adapted.seed)
        traces = generator.adapt_by_step(adapted.support, adapted.seed, steps)
        for step, trace in enumerate(traces, 1):
            yield {
                "type": "step",
                "step": step,
                "steps": steps,
                "critic_loss": float(trace.critic_loss),
                "generator_loss": float(trace.generator_loss),
                "images": [recipe.encode(image) for image in generator.draw(latents)],
            }
        generator.slow = None  # else a model that was put away would not be freed
        job.result = adapted

    return work


def judge(model, seed, sheets):
    """The work of a game: adapts to each class, draws, shuffles.

    Args:
      model: `models.Model`, which must carry examples.
      seed: of every random draw.
      sheets: whether four images are shown against four, rather than one by one.

    Returns:
      The work, see `jobs.Job`; the job's result is a `Judged`.
    """
    generator = copy.copy(model.generator)
    shots, each = generator.config.inner.shots, _SHEET if sheets else _EACH

    def work(job):
        yield {"type": "started"}
        names = [n for n, x in model.examples.items() if len(x) >= shots + each]
        draw = np.random.default_rng(seed)
        names = sorted(draw.permutation(names)[:JUDGED_CLASSES].tolist())
        if sheets:  # real images are as often on the left as on the right
            names = names[: len(names) // 2 * 2]
        if not names:
            raise FailedWork("this model carries too few real images to judge beside")
        real, generated = [], []
        for number, name in enumerate(names, 1):
            drawn = draw.permutation(model.examples[name])
            generator.adapt(drawn[:shots], seed)
            generated.append(generator.generate(each, seed))
            real.append(drawn[shots : shots + each])
            yield {"type": "step", "step": number, "steps": len(names)}
        if sheets:
            is_left = draw.permutation(np.arange(len(names)) % 2 == 0)
            real, generated = _pair(real, generated, is_left)
        shown, key = human.shuffle(real, generated, names, seed)
        job.result = Judged(key)
        yield {
            "type": "images",
            "images": {name: recipe.encode(image) for name, image in shown.items()},
        }

    return work


def _pair(real, generated, is_left):
    """One picture a class: real images beside generated ones.

    Args:
      real: `[images, H, W, C]` uint8 of each class.
      generated: the same.
      is_left: of each class, whether the real ones are on the left.

    Returns:
      Of each class the pictures with real images on the left, one or none, and those
      with generated ones there.
    """
    found = [], []
    for ours, theirs, first in zip(real, generated, is_left, strict=True):
        pair = [pictures.sheet(images, 2) for images in (ours, theirs)]
        picture = pictures.side_by_side(pair if first else pair[::-1])
        found[0].append([picture] * bool(first))
        found[1].append([picture] * (not first))
    return found
