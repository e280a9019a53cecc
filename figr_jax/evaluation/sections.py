"""The parts of a report on few classes: curves, and GANs trained from scratch."""

import numpy as np

from figr_jax import build, sampling
from figr_jax.common.errors import say
from figr_jax.evaluation import supports

CURVE_STEPS = (0, 1, 2, 5, 10, 20, 50)
CURVE_SHOTS = (1, 2, 4, 8)
SCRATCH_STEPS = 1000


def measure_curves(work):
    """Measures metrics against inner steps and against shots, on some classes.

    Args:
      work: `measurement.Measurement`.

    Returns:
      A dict: name of what varies to `model`, a dict of its summaries, and to the
      summary of `held-out real` images, the floor.
    """
    seed, wanted = work.options.seed, work.options.curve_classes
    slow = work.model.slow

    def curve(summaries, draw):
        return {"model": summaries, "held-out real": work.summarize(draw.real, draw)}

    few = supports.choose(work.classes, wanted, seed)
    draw = work.draw_supports(few, work.shots, seed)
    inner = work.sampling.inner._replace(steps=CURVE_STEPS[-1])
    options = work.sampling._replace(inner=inner)
    made, _ = work.adapt_and_draw("inner steps", slow, options, draw, seed, CURVE_STEPS)
    summaries = {n: work.summarize(made[:, i], draw) for i, n in enumerate(CURVE_STEPS)}
    curves = {"inner steps": curve(summaries, draw)}
    # The same classes for every number of shots, so those that have enough for all.
    counts, all_shots = np.diff(work.bank.class_start)[work.classes], list(CURVE_SHOTS)
    while (counts >= all_shots[-1] + supports.BESIDE).sum() < 2:
        say(f"no curve for {all_shots.pop()} shots: the classes have too few images")
    enough = work.classes[counts >= all_shots[-1] + supports.BESIDE]
    few = supports.choose(enough, wanted, seed)
    # And the same real images to judge by, for metrics depend on how many there are.
    draw, summaries = work.draw_supports(few, all_shots[-1], seed), {}
    for n in all_shots:
        fewer = draw._replace(supports=draw.supports[:, :n])
        made, _ = work.adapt_and_draw(f"{n} shots", slow, work.sampling, fewer, seed)
        summaries[n] = work.summarize(made[:, 0], fewer)
    return {**curves, "shots": curve(summaries, draw)}


def measure_scratch(work, seed, generated, k):
    """Trains GANs on one support alone each, for a few classes of one draw.

    Args:
      work: `measurement.Measurement`.
      seed: of the draw.
      generated: images of the model for all classes, `[classes, m, H, W, C]` uint8;
        those of the few classes are measured for comparison.
      k: of the manifold metrics.

    Returns:
      A dict: name of an arm to its summary.
    """
    few = supports.choose(work.classes, work.options.scratch, work.options.seed)
    draw = work.draw_supports(few, work.shots, seed)
    # The constant rate of meta-training: a decaying one would end too early.
    inner = build.inner(work.model.config)._replace(steps=SCRATCH_STEPS)
    made, _ = work.adapt_and_draw(
        "from scratch", work.random, sampling.Sampling(inner), draw, seed
    )
    made, alike = made[:, 0], generated[np.isin(work.classes, few)]
    name = f"{len(few)} classes, one draw:"
    return {
        f"{name} from scratch, {SCRATCH_STEPS} steps": work.summarize(made, draw, k),
        f"{name} model": work.summarize(alike, draw, k),
    }
