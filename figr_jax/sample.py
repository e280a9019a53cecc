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
_PREPARE = flags.DEFINE_enum(
    "prepare",
    "auto",
    ["auto", "none"],
    "auto: crop, centre and clean drawings that look unlike the model's data; none: "
    "only resize.",
)
_OUT = flags.DEFINE_string("out", "samples", "Folder for the pictures.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "For --heldout: where prepared data sets live."
)


def _recipe(model, paths):
    """Reads what to generate, or takes it from the flags.

    Returns:
      A `recipe.Recipe`, and pictures that go with it: name to PNG bytes.
    """
    from figr_jax import recipe

    if sum(map(bool, (paths, _HELDOUT.value, _RECIPE.value))) != 1:
        raise errors.BadInput(
            "give the images to adapt to: one of --support, --heldout and --recipe"
        )
    if _RECIPE.value:
        errors.refuse(
            ("seed", "count", "inner_steps", "invert", "prepare", "data_dir"),
            "--recipe says what to make; leave one of them out",
        )
        return recipe.read(_RECIPE.value, model), {}
    steps = build.sampling(model.config).steps
    if _INNER_STEPS.value is not None:
        steps = _INNER_STEPS.value
    if _HELDOUT.value:
        errors.refuse(
            ["invert", "prepare"], "held-out images are as trained on; leave it out"
        )
        drawn = model.draw_heldout(_HELDOUT.value, _SEED.value, _DATA_DIR.value)
        return recipe.Recipe(drawn, _SEED.value, steps, None), {}
    support, shown = _read_support(model, paths)
    return recipe.Recipe(support, _SEED.value, steps, None), shown


def _read_support(model, paths):
    """Reads and prepares the support, and says what was done to it.

    Returns:
      The support, and `support.png`, which shows it before and after.
    """
    from figr_jax import pictures
    from figr_jax.data import inputs

    size, channels = model.networks.image_size, model.networks.channels
    redraw = _PREPARE.value == "auto"
    originals, prepared = inputs.prepare(
        paths, size, channels, model.style, _INVERT.value, redraw
    )
    swapped, redrawn, count = (
        prepared.swapped.sum(),
        prepared.redrawn.sum(),
        len(originals),
    )
    if redrawn:
        print(
            f"cropped, centred and cleaned {redrawn} of {count} drawings, see "
            "support.png (--prepare=none leaves them as they are)"
        )
    if swapped:
        why = "as asked" if _INVERT.value else "the background was the other way"
        print(
            f"dark and light swapped in {swapped} of {count}: {why} "
            "(--invert, --noinvert)"
        )
    shown = pictures.before_and_after(originals, prepared.support, _columns(count))
    return prepared.support, {"support.png": pictures.encode(shown)}


def _columns(shots):
    """Images in a row of a picture."""
    return min(max(shots, 8), 16)


def main(argv):
    """Reads the support, adapts, draws, writes."""
    if _CHECKPOINT.value is None:
        raise errors.BadInput(
            "--checkpoint is missing: give a run's folder or the name of weights"
        )
    # Slow to import, so after the flags are checked.
    from figr_jax import compilation, files, generation, outputs, pictures

    compilation.keep_programs()

    model = generation.load(_CHECKPOINT.value)
    what, shown = _recipe(model, _SUPPORT.value + argv)
    count = _COUNT.value if what.latents is None else len(what.latents)
    names = [f"generated_{i:03}.png" for i in range(count)]
    out = files.make_folder(_OUT.value, "--out")
    outputs.check(out, ["grid.png", "support.png", *names], "--out")
    shots, trained = len(what.support), model.config.inner.shots
    if shots != trained:
        print(f"support images: {shots}; the checkpoint was trained with {trained}")
    print("compiling, then adapting (under a minute on two CPU cores)", flush=True)
    begin = time.perf_counter()
    adapted = model.adapt(what.support, what.seed, what.inner_steps)
    between = time.perf_counter()
    if what.latents is None:
        generated = adapted.generate(count, _SEED.value)
    else:
        generated = adapted.draw(what.latents)
    end = time.perf_counter()

    shown["grid.png"] = pictures.encode(
        pictures.panel(what.support, generated, _columns(shots))
    )
    for name, image in zip(names, generated, strict=True):
        shown[name] = pictures.encode(image)
    outputs.write(out, shown)
    print(
        f"adapted in {between - begin:.1f} s, generated in {end - between:.1f} s, "
        "compiling included"
    )
    print(f"wrote {count} images and {out / 'grid.png'}")


if __name__ == "__main__":
    errors.run(main, takes_arguments=True)
