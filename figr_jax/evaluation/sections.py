"""The parts of a report on few classes: curves, and GANs trained from scratch."""

import numpy as np

from figr_jax import build, sampling
from figr_jax.common.errors import say
from figr_jax.evaluation import evaluators, supports

CURVE_STEPS = (0, 1, 2, 5, 10, 20, 50)
CURVE_SHOTS = (1, 2, 4, 8)
SCRATCH_STEPS = 1000


def measure_curves(work, model):
    """Measures metrics against inner steps and against shots, on some classes.

    Args:
      work: `measurement.Measurement`.
      model: `generation.FewShotGenerator`.

    Returns:
      A dict: name of what varies to `model`, a dict of its summaries, and to the
      summary of `held-out real` images, for reference.
    """
    seed, wanted = work.options.seed, work.options.curve_classes
    images, options = work.images(model), build.sampling(model.config)

    def curve(summaries, draw):
        return {"model": summaries, "held-out real": work.summarize(draw.real, draw)}

    few = supports.choose(work.classes, wanted, seed)
    draw = work.draw_supports(few, work.shots, seed)
    longer = options._replace(inner=options.inner._replace(steps=CURVE_STEPS[-1]))
    made, _ = images.adapt_and_draw(
        "inner steps", longer, model.slow, draw, CURVE_STEPS
    )
    summaries = {n: work.summarize(made[:, i], draw) for i, n in enumerate(CURVE_STEPS)}
    curves = {"inner steps": curve(summaries, draw)}
    # The same classes for every number of shots, so those that have enough for all.
    counts = np.diff(work.bank.class_start)[work.classes]
    all_shots = [
        n for n in CURVE_SHOTS if (counts >= n + supports.EVALUATION_IMAGES).sum() > 1
    ]
    for n in CURVE_SHOTS[len(all_shots) :]:
        say(f"no curve for {n} shots: the classes have too few images")
    if not all_shots:
        return curves
    enough = work.classes[counts >= all_shots[-1] + supports.EVALUATION_IMAGES]

    few = supports.choose(enough, wanted, seed)
    # And the same real images to compare with: metrics depend on how many there are.
    draw, summaries = work.draw_supports(few, all_shots[-1], seed), {}
    for n in all_shots:
        fewer = draw._replace(supports=draw.supports[:, :n])
        made, _ = images.adapt_and_draw(f"{n} shots", options, model.slow, fewer)
        summaries[n] = work.summarize(made[:, 0], fewer)
    return {**curves, "shots": curve(summaries, draw)}


def measure_scratch(work, model, random, draws, generated):
    """Trains GANs on one support alone each, for a few classes of one draw.

    Args:
      work: `measurement.Measurement`.
      model: `generation.FewShotGenerator`.
      random: random weights to start from, `networks.GanParams`.
      draws: list of `supports.Draw` of all classes; the first one's seed is used.
      generated: images of the model for the first draw, `[classes, m, H, W, C]` uint8;
        those of the few classes are measured for comparison.

    Returns:
      A dict: name of an arm to its summary.
    """
    few = supports.choose(work.classes, work.options.scratch, work.options.seed)
    draw = work.draw_supports(few, work.shots, draws[0].seed)
    # The constant rate of meta-training: a decaying one would end too early.
    inner = build.inner(model.config)._replace(steps=SCRATCH_STEPS)
    made, _ = work.images(model).adapt_and_draw(
        "from scratch", sampling.Sampling(inner), random, draw
    )
    made, alike = made[:, 0], generated[np.isin(work.classes, few)]
    name, k = f"{len(few)} classes, one draw:", evaluators.neighbours(draws)
    return {
        f"{name} from scratch, {SCRATCH_STEPS} steps": work.summarize(made, draw, k),
        f"{name} model": work.summarize(alike, draw, k),
    }
