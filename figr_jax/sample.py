"""Adapts a checkpoint to a few images of one class and draws new ones.

python -m figr_jax.sample --checkpoint=runs/quickstart --support=FOLDER --out=samples
"""

import time

from absl import flags

from figr_jax import build, errors

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A run's folder (its newest snapshot), one snapshot, or shipped weights.",
)
_SUPPORT = flags.DEFINE_multi_string(
    "support", [], "Folder of images, or an image; more paths may follow."
)
_HELDOUT = flags.DEFINE_string(
    "heldout", None, "Instead of --support: name of a held-out class of the data set."
)
_RECIPE = flags.DEFINE_string(
    "recipe", None, "Instead of --support: a recipe.json of the studio, drawn again."
)
_COUNT = flags.DEFINE_integer("count", 24, "Images to draw.", lower_bound=1)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of every random draw.", lower_bound=0, upper_bound=2**32 - 1
)
_INNER_STEPS = flags.DEFINE_integer(
    "inner_steps", None, "Inner steps; by default as in training.", lower_bound=0
)
_INVERT = flags.DEFINE_boolean(
    "invert", None, "Swap dark and light; by default found from the background."
)
_OUT = flags.DEFINE_string("out", "samples", "Folder for the pictures.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "For --heldout: where prepared data sets live."
)


def _recipe(model, paths):
    """What to make: read as a whole, or put together from the flags."""
    from figr_jax import recipe

    if sum(map(bool, (paths, _HELDOUT.value, _RECIPE.value))) != 1:
        raise errors.BadInput(
            "give the images to adapt to: one of --support, --heldout and --recipe"
        )
    if _RECIPE.value:
        errors.refuse(
            ("seed", "count", "inner_steps", "invert", "data_dir"),
            "--recipe says what to make; leave one of them out",
        )
        return recipe.read(_RECIPE.value, model)
    steps = build.sampling(model.config).steps
    if _INNER_STEPS.value is not None:
        steps = _INNER_STEPS.value
    return recipe.Recipe(_support(model, paths), _SEED.value, steps, None)


def _support(model, paths):
    if _HELDOUT.value:
        errors.refuse(["invert"], "held-out images are as trained on; leave it out")
        return model.draw_heldout(_HELDOUT.value, _SEED.value, _DATA_DIR.value)
    support, swapped = model.read(paths, _INVERT.value)
    if swapped.any():
        why = "as asked" if _INVERT.value else "the background was the other way"
        print(
            f"dark and light swapped in {swapped.sum()} of {len(support)}: {why} "
            "(--invert, --noinvert)"
        )
    return support


def main(argv):
    """Reads the support, adapts, draws, writes."""
    if _CHECKPOINT.value is None:
        raise errors.BadInput(
            "--checkpoint is missing: give a run's folder or the name of weights"
        )
    # Slow to import, so after the flags are checked.
    from figr_jax import compilation, files, generation, pictures

    compilation.keep_programs()

    model = generation.load(_CHECKPOINT.value)
    what = _recipe(model, _SUPPORT.value + argv)
    out = files.make_folder(_OUT.value, "--out")
    shots, trained = len(what.support), model.config.inner.shots
    if shots != trained:
        print(f"support images: {shots}; the checkpoint was trained with {trained}")
    print("compiling, then adapting (under a minute on two CPU cores)", flush=True)
    begin = time.perf_counter()
    adapted = model.adapt(what.support, what.seed, what.inner_steps)
    between = time.perf_counter()
    if what.latents is None:
        generated = adapted.generate(_COUNT.value, _SEED.value)
    else:
        generated = adapted.draw(what.latents)
    end = time.perf_counter()

    for old in out.glob("generated_*.png"):  # of an earlier call, perhaps with more
        old.unlink()
    for i, image in enumerate(generated):
        pictures.save(out / f"generated_{i:03}.png", image)
    columns = max(shots, 8)
    pictures.save(out / "grid.png", pictures.panel(what.support, generated, columns))
    print(
        f"adapted in {between - begin:.1f} s, generated in {end - between:.1f} s, "
        "compiling included"
    )
    print(f"wrote {len(generated)} images and {out / 'grid.png'}")


if __name__ == "__main__":
    errors.run(main, takes_arguments=True)
