"""Adapts a checkpoint to a few images of one class and generates new ones.

python -m figr_jax.sample --checkpoint=runs/quickstart --support=FOLDER --out=samples
"""

import os
import time

from absl import flags

from figr_jax import build
from figr_jax.common import command, errors

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of this command; importing it defines none."""
    command.define_path(
        "checkpoint",
        None,
        "A run's folder (its newest snapshot), one snapshot, or shipped weights.",
    )
    command.define_paths(
        "support", "Folder of images, or an image; more paths may follow."
    )
    flags.DEFINE_string(
        "heldout",
        None,
        "Instead of --support: name of a held-out class of the data set.",
    )
    command.define_path(
        "recipe",
        None,
        "Instead of --support: a recipe.json of the studio to reproduce.",
    )
    flags.DEFINE_integer("count", 24, "Images to generate.", lower_bound=1)
    flags.DEFINE_integer(
        "seed", 0, "Seed of every random draw.", lower_bound=0, upper_bound=2**32 - 1
    )
    flags.DEFINE_integer(
        "inner_steps", None, "Inner steps; by default as in training.", lower_bound=0
    )
    flags.DEFINE_boolean(
        "invert", None, "Swap dark and light; by default, the background decides."
    )
    flags.DEFINE_enum(
        "prepare",
        "auto",
        ["auto", "none"],
        "auto: crop, centre and clean drawings that look unlike the model's data; "
        "none: only resize, and swap dark and light if needed.",
    )
    flags.DEFINE_boolean("svg", False, "Also write each image as an SVG of outlines.")
    command.define_path("out", "samples", "Folder for the pictures.")
    command.define_path(
        "data_dir", None, "For --heldout: folder of prepared data sets."
    )


def _recipe(model, paths):
    """Reads the recipe, or builds one from the flags.

    Returns:
      A `recipe.Recipe`, and pictures to write with the images: name to PNG bytes.
    """
    from figr_jax import recipe

    if sum(map(bool, (paths, FLAGS.heldout, FLAGS.recipe))) != 1:
        raise errors.BadInput(
            "give the images to adapt to: one of --support, --heldout and --recipe"
        )
    if FLAGS.recipe:
        command.refuse(
            ("seed", "count", "inner_steps", "invert", "prepare", "data_dir"),
            "has no effect with --recipe; leave one of them out",
        )
        return recipe.read(FLAGS.recipe, model), {}
    steps = build.sampling(model.config).inner.steps
    if FLAGS.inner_steps is not None:
        steps = FLAGS.inner_steps
    if FLAGS.heldout:
        command.refuse(
            ["invert", "prepare"], "held-out images need no preparation; leave it out"
        )
        drawn = model.draw_heldout(FLAGS.heldout, FLAGS.seed, FLAGS.data_dir)
        return recipe.Recipe(drawn, FLAGS.seed, steps, None), {}
    support, shown = _read_support(model, paths)
    return recipe.Recipe(support, FLAGS.seed, steps, None), shown


def _read_support(model, paths):
    """Reads and prepares the support, and prints the changes.

    Returns:
      The support, and `support.png`, which shows it before and after.
    """
    from figr_jax.common import pictures
    from figr_jax.data import images

    redraw = FLAGS.prepare == "auto"
    originals, prepared = model.prepare(paths, FLAGS.invert, redraw)
    count = len(originals)
    swapped, redrawn = prepared.swapped.sum(), prepared.redrawn.sum()
    if redrawn:
        print(
            f"cropped, centred and cleaned {redrawn} of {count} drawings, see "
            "support.png (--prepare=none only resizes them)"
        )
    if swapped:
        why = "as asked" if FLAGS.invert else "their polarity was inverted"
        print(
            f"dark and light swapped in {swapped} of {count}: {why} "
            "(--invert, --noinvert)"
        )
    columns = _columns(count, count)
    shown = pictures.before_and_after(originals, prepared.support, columns)
    return prepared.support, {"support.png": images.encode(shown)}


def _columns(shots, count):
    """Returns the images in a row of a picture."""
    return min(max(shots, min(count, 8)), 16)


def main(argv):
    """Reads the support, adapts, generates and writes images."""
    if FLAGS.checkpoint is None:
        raise errors.BadInput(
            "--checkpoint is missing: give a run's folder or the name of weights"
        )
    # Slow to import, so after the flags are checked.
    from figr_jax import generation, vectors
    from figr_jax.common import compilation, files, outputs, pictures
    from figr_jax.data import images

    compilation.keep_programs()

    model = generation.load(FLAGS.checkpoint)
    if FLAGS.svg and model.networks.channels != 1:
        raise errors.BadInput(
            "--svg: this model generates colour images, and only grey images have "
            "outlines; leave it out, or export SVG files in the studio"
        )
    recipe, shown = _recipe(model, FLAGS.support + list(map(os.path.expanduser, argv)))
    count = FLAGS.count if recipe.latents is None else len(recipe.latents)
    stems = [f"generated_{i:03}" for i in range(count)]
    names = [f"{x}.{kind}" for x in stems for kind in ["png"] + ["svg"] * FLAGS.svg]
    out = files.make_folder(FLAGS.out, "--out")
    outputs.check(out, ["grid.png", "support.png", *names], "sample", "--out")
    shots, trained = len(recipe.support), model.config.inner.shots
    if shots != trained:
        print(f"support images: {shots}; the checkpoint was trained with {trained}")
    print("compiling, then adapting (under a minute on two CPU cores)", flush=True)
    begin = time.perf_counter()
    adapted = model.adapt(recipe.support, recipe.seed, recipe.inner_steps)
    between = time.perf_counter()
    if recipe.latents is None:
        generated = adapted.generate(count, FLAGS.seed)
    else:
        generated = adapted.draw(recipe.latents)
    end = time.perf_counter()

    shown["grid.png"] = images.encode(
        pictures.panel(recipe.support, generated, _columns(shots, count))
    )
    for stem, image in zip(stems, generated, strict=True):
        shown[f"{stem}.png"] = images.encode(image)
        if FLAGS.svg:
            shown[f"{stem}.svg"] = vectors.to_svg(
                image, model.style.background
            ).encode()
    outputs.write(out, shown, "sample")
    print(
        f"adapted in {between - begin:.1f} s, generated in {end - between:.1f} s, "
        "compiling included"
    )
    print(f"wrote {count} images and {out / 'grid.png'}")


if __name__ == "__main__":
    define_flags()
    command.run(main, takes_arguments=True)
