"""Work of the studio's jobs: an adaptation, or a real-or-generated game."""

from typing import NamedTuple

import jax
import numpy as np

from figr_jax import recipe
from figr_jax.adapted import Adapted, draw_candidates
from figr_jax.common import pictures
from figr_jax.common.errors import FailedWork
from figr_jax.data import styles
from figr_jax.evaluation import human

PREVIEW = 16  # images after each inner step
JUDGED_CLASSES = 10
_EACH = 2  # real images, and generated images, of a judged class
_SHEET = 4  # images of a sheet
_KEPT_BYTES = 2**28  # of the states of an adaptation; the last one always stays


class Adaptation(NamedTuple):
    """Result of an adaptation.

    Attributes:
      states: dict: number of inner steps to the `adapted.Adapted` after them. Only the
        last one can advance. It has `inner_steps`; early ones may be missing.
      inner_steps: K of this adaptation.
      snapshot: the model's snapshot, see `recipe.identify`.
      dataset: name of the data set that the model was trained on.
      style: `styles.Style` of that data set.
    """

    states: dict[int, Adapted]
    inner_steps: int
    snapshot: int
    dataset: str
    style: styles.Style

    @property
    def adapted(self):
        """The `adapted.Adapted` after `inner_steps`."""
        return self.states[self.inner_steps]

    def leads_to(self, snapshot, first, inner_steps):
        """Returns whether another adaptation can continue from these states.

        Args:
          snapshot: snapshot of the other adaptation.
          first: `adapted.Adapted` before its first inner step.
          inner_steps: its number of inner steps.
        """
        ours = self.adapted
        is_same = self.snapshot == snapshot and ours.seed == first.seed
        is_kept = inner_steps in self.states or inner_steps > max(self.states)
        return is_same and is_kept and np.array_equal(ours.support, first.support)

    def write_recipe(self, latents):
        """Returns the recipe of the images of these latents, a dict for JSON."""
        support, seed = self.adapted.support, self.adapted.seed
        values = recipe.Recipe(support, seed, self.inner_steps, latents)
        return recipe.write(values, self.snapshot, self.dataset)


class Judged:
    """Result of a game: the key of its images, and the answers so far."""

    def __init__(self, key):
        """Takes the key of `human.shuffle`."""
        self.key, self.answers = key, {}


def adapt(model, support, seed, inner_steps, earlier=None):
    """Returns the work of an adaptation, with an event after each new inner step.

    Args:
      model: `generation.FewShotGenerator`.
      support: `[shots, H, W, C]` uint8.
      seed: seed of the adaptation.
      inner_steps: number of inner steps.
      earlier: `Adaptation` whose inner steps are not repeated if it has the same
        snapshot, support and seed, and its states are kept; or None.

    Returns:
      The work, see `jobs.Job`; the job's result is an `Adaptation`.
    """

    def work(job):
        yield {"type": "started"}
        snapshot, dataset = recipe.identify(model), model.config.dataset.name
        first = model.start(support, seed)
        continues = earlier and earlier.leads_to(snapshot, first, inner_steps)
        states = dict(earlier.states) if continues else {0: first}
        latents = draw_candidates(PREVIEW, 1, model.networks.latent, seed)[:, 0]
        for step in range(max(states) + 1, inner_steps + 1):
            adapted = states[step - 1].advance()
            states[step - 1] = states[step - 1].without_optimizer()
            states[step] = adapted
            if sum(_measure(states).values()) > _KEPT_BYTES:
                states = {step: adapted}
            drawn = adapted.draw(latents)
            yield {
                "type": "step",
                "step": step,
                "steps": inner_steps,
                "critic_loss": float(adapted.trace.critic_loss[-1]),
                "generator_loss": float(adapted.trace.generator_loss[-1]),
                "images": [recipe.encode(image) for image in drawn],
            }
        job.parts = _measure(states)
        job.result = Adaptation(states, inner_steps, snapshot, dataset, model.style)

    return work


def _measure(states):
    """Returns the size of each part of the states, see `jobs.Job.parts`."""
    parts = [part for adapted in states.values() for part in adapted.state]
    return {id(x): sum(leaf.nbytes for leaf in jax.tree.leaves(x)) for x in parts}


def judge(model, seed, sheets):
    """Returns the work of a game: adapt to each class, generate, shuffle.

    Args:
      model: `models.Model` with examples.
      seed: seed of all sampling.
      sheets: shows four images against four, instead of one at a time.

    Returns:
      The work, see `jobs.Job`; the job's result is a `Judged`.
    """
    generator = model.generator
    shots, each = generator.config.inner.shots, _SHEET if sheets else _EACH

    def work(job):
        yield {"type": "started"}
        names = [n for n, x in model.examples.items() if len(x) >= shots + each]
        rng = np.random.default_rng(seed)
        names = sorted(rng.permutation(names)[:JUDGED_CLASSES].tolist())
        if sheets:  # real images are as often on the left as on the right
            names = names[: len(names) // 2 * 2]
        if not names:
            raise FailedWork(
                "this model has too few real images for the test; choose another model"
            )
        real, generated = [], []
        for number, name in enumerate(names, 1):
            drawn = rng.permutation(model.examples[name])
            adapted = generator.adapt(drawn[:shots], seed)
            generated.append(adapted.generate(each, seed))
            real.append(drawn[shots : shots + each])
            yield {"type": "step", "step": number, "steps": len(names)}
        if sheets:
            is_left = rng.permutation(np.arange(len(names)) % 2 == 0)
            real, generated = _pair(real, generated, is_left)
        shown, key = human.shuffle(real, generated, names, seed)
        job.result = Judged(key)
        yield {
            "type": "images",
            "images": {name: recipe.encode(image) for name, image in shown.items()},
        }

    return work


def _pair(real, generated, is_left):
    """Joins the real and the generated images of each class into one picture.

    Args:
      real: `[images, H, W, C]` uint8 for each class.
      generated: the same.
      is_left: for each class, True if the real images are on the left.

    Returns:
      Two lists with one list per class, of one picture or none: the pictures with real
      images on the left, and those with generated images on the left.
    """
    real_left, generated_left = [], []
    for ours, theirs, first in zip(real, generated, is_left, strict=True):
        pair = [pictures.sheet(images, 2) for images in (ours, theirs)]
        picture = pictures.side_by_side(pair if first else pair[::-1])
        real_left.append([picture] * bool(first))
        generated_left.append([picture] * (not first))
    return real_left, generated_left
