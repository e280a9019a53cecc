import filecmp
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import run_command, start_command
from PIL import Image, ImageDraw

import figr_jax
from figr_jax.common.errors import BadInput


def draw_crosses(folder, background, ink, sizes=(40, 30, 64, 20)):
    """Crosses of several sizes, one a file."""
    folder.mkdir()
    for i, size in enumerate(sizes):
        image = Image.new("L", (size, size), background)
        pen = ImageDraw.Draw(image)
        pen.line((5, 5, size - 5, size - 5), fill=ink, width=4)
        pen.line((5, size - 5, size - 5, 5), fill=ink, width=4)
        image.save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def model(workdir):
    return figr_jax.load(workdir)


@pytest.fixture(scope="module")
def crosses(tmp_path_factory):
    return draw_crosses(tmp_path_factory.mktemp("own") / "crosses", 255, 0)


@pytest.fixture(scope="module")
def sampled(workdir, crosses, tmp_path_factory):
    """What `sample` wrote for the crosses, and what it printed."""
    out = tmp_path_factory.mktemp("sampled")
    args = (f"--checkpoint={workdir}", f"--support={crosses}", f"--out={out}")
    return out, run_command("sample", *args)


def test_sample_writes_a_grid_and_the_images(sampled):
    out, printed = sampled
    names = [f"generated_{i:03}.png" for i in range(24)]
    names += ["grid.png", "support.png", "written.json"]
    assert sorted(p.name for p in out.iterdir()) == names
    assert Image.open(out / "generated_000.png").size == (8, 8)
    rows, columns = 1 + 24 // 8, 8
    assert Image.open(out / "grid.png").size == (columns * 66, rows * 66)
    assert "adapted in" in printed and "swapped" not in printed


def test_latents_are_stretched_as_the_config_says(workdir):
    plain, stretched = figr_jax.load(workdir), figr_jax.load(workdir)
    stretched.config.sampling.latent_scale = 3.0
    support = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    plain, stretched = plain.adapt(support), stretched.adapt(support)
    latents = plain.best_latents(5)
    np.testing.assert_array_equal(stretched.draw(latents), plain.draw(3 * latents))
    assert (stretched.draw(latents) != plain.draw(latents)).any()


def test_latents_of_another_size_are_refused(model, crosses):
    adapted = model.adapt(model.read([crosses]))
    with pytest.raises(ValueError, match=r"must be \[count, 3\]"):
        adapted.draw(adapted.best_latents(5)[:, :2])


def test_the_same_seed_gives_the_same_bytes(sampled, workdir, crosses, tmp_path):
    # The newest snapshot, one file after the other, and fewer images: all the same.
    run_command(
        "sample",
        f"--checkpoint={workdir}/snapshots/4",
        "--support",
        *sorted(crosses.iterdir()),
        "--count=11",
        f"--out={tmp_path}",
    )
    names = [f"generated_{i:03}.png" for i in range(11)]
    match, *rest = filecmp.cmpfiles(sampled[0], tmp_path, names, shallow=False)
    assert match == names, rest


def test_another_seed_gives_other_images(model, crosses):
    support = model.read([crosses])
    adapted = model.adapt(support, seed=0)
    first, second = adapted.generate(5, seed=0), adapted.generate(5, seed=1)
    assert (first != second).any()
    assert (model.adapt(support, seed=1).generate(5, seed=0) != first).any()
    np.testing.assert_array_equal(adapted.generate(5, seed=0), first)  # not mutated


def test_polarity_is_found(model, crosses, tmp_path):
    inverse = draw_crosses(tmp_path / "inverse", 0, 255)
    black_on_white, white_on_black = model.read([crosses]), model.read([inverse])
    mixed = model.read([crosses / "0.png", inverse / "0.png"])
    np.testing.assert_array_equal(mixed[0], mixed[1])
    np.testing.assert_array_equal(white_on_black, black_on_white)
    as_it_is = model.read([inverse], invert=False)
    np.testing.assert_array_equal(as_it_is, 255 - white_on_black)


def test_it_computes_in_float32_whatever_jax_is_set_to(workdir, model, crosses):
    expected = model.adapt(model.read(crosses), inner_steps=1).generate(3)
    with jax.enable_x64(True):
        again = figr_jax.load(workdir)
        found = again.adapt(again.read(crosses), inner_steps=1).generate(3)
    np.testing.assert_array_equal(found, expected)


def test_rows_of_a_large_support_wrap(workdir, tmp_path):
    for i in range(40):
        Image.fromarray(np.eye(8, k=i % 7 - 3, dtype=np.uint8) * 200 + i).save(
            tmp_path / f"{i}.png"
        )
    out = tmp_path / "out"
    args = (f"--checkpoint={workdir}", f"--support={tmp_path}", f"--out={out}")
    run_command("sample", *args, "--inner_steps=0", "--count=3")
    assert Image.open(out / "grid.png").width == 16 * 66


def test_arrays_in_arrays_out(model):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    adapted = model.adapt(images, inner_steps=3)  # 6 shots, trained with 4
    assert adapted.trace.critic_loss.shape == (3,)
    many = adapted.generate(40)
    assert many.shape == (40, 8, 8, 1) and many.dtype == np.uint8
    np.testing.assert_array_equal(adapted.generate(3), many[:3])
    assert adapted.generate(0).shape == (0, 8, 8, 1)


@pytest.mark.parametrize(
    "numbers", [{"seed": -1}, {"seed": 2**32}, {"inner_steps": 2.5}]
)
def test_wrong_numbers_are_refused(model, crosses, numbers):
    support = model.read(crosses)
    with pytest.raises(ValueError, match="must be a whole number"):
        model.adapt(support, **numbers)


def test_more_inner_steps_move_further(model, crosses):
    support = model.read([crosses])
    images = []
    for steps in (0, 1, 20):
        adapted = model.adapt(support, inner_steps=steps)
        images.append(adapted.generate(8).astype(float))
    one, twenty = (np.abs(x - images[0]).mean() for x in images[1:])
    assert 0 < one < twenty


@pytest.mark.parametrize("first, further", [(0, 3), (3, 2), (30, 4)])
def test_continuing_equals_adapting_from_the_start(model, crosses, first, further):
    support = model.read([crosses])
    begun = model.adapt(support, seed=5, inner_steps=first)
    before = begun.generate(6)
    continued = begun.advance(further)
    whole = model.adapt(support, seed=5, inner_steps=first + further)
    assert continued.sampling == whole.sampling
    jax.tree.map(np.testing.assert_array_equal, continued.state, whole.state)
    jax.tree.map(np.testing.assert_array_equal, continued.trace, whole.trace)
    np.testing.assert_array_equal(continued.generate(6), whole.generate(6))
    np.testing.assert_array_equal(begun.generate(6), before)  # unchanged
    assert (continued.generate(6) != before).any()


def test_without_optimizer_states_it_generates_but_cannot_advance(model, crosses):
    adapted = model.adapt(model.read([crosses]))
    kept = adapted.without_optimizer()
    np.testing.assert_array_equal(kept.generate(3), adapted.generate(3))
    with pytest.raises(ValueError, match="adapt again"):
        kept.advance()


def test_wrong_arrays_are_refused(workdir):
    model = figr_jax.load(workdir)
    for shape, dtype in [
        ((4, 9, 9), np.uint8),
        ((4, 8, 8), float),
        ((0, 8, 8), np.uint8),
    ]:
        with pytest.raises(ValueError, match="must be uint8"):
            model.adapt(np.zeros(shape, dtype))


def test_heldout_classes_by_name(model, workdir, data_dir):
    name = json.loads((workdir / "split.json").read_text())["heldout"][0]
    support = model.draw_heldout(name.lower(), data_dir=data_dir)
    assert support.shape == (4, 8, 8, 1)
    with pytest.raises(BadInput, match=f"did you mean '{name}'"):
        model.draw_heldout(name + "X", data_dir=data_dir)


def test_sample_says_what_is_unlike_training(workdir, tmp_path):
    inverse = draw_crosses(tmp_path / "inverse", 0, 255, sizes=(20, 30))
    out = tmp_path / "out"
    args = (f"--checkpoint={workdir}", f"--support={inverse}", f"--out={out}")
    printed = run_command("sample", *args, "--inner_steps=1", "--count=3")
    assert "support images: 2; the checkpoint was trained with 4" in printed
    assert "dark and light swapped in 2 of 2: their polarity was inverted" in printed
    # A later call leaves none of the earlier one's images, but all of the user's.
    (out / "generated_mine.png").write_bytes(b"mine")
    run_command("sample", *args, "--inner_steps=1", "--count=1", "--noinvert")
    assert sorted(p.name for p in out.iterdir()) == [
        *("generated_000.png", "generated_mine.png", "grid.png"),
        *("support.png", "written.json"),
    ]
    (out / "grid.png").write_bytes(b"mine")
    process = start_command("sample", *args, "--count=1")
    assert "grid.png exists and" in process.communicate(timeout=300)[1]
    assert process.returncode == 2
    assert (out / "grid.png").read_bytes() == b"mine"


@pytest.mark.parametrize("family", ["resnet", "dcgan"])
def test_import_of_published_weights(family, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [torch]")
    from experiments.speed import torch_peer

    sizes = dict(image_size=16, width=3, stages=2, latent=6)
    generator, critic = torch_peer.build(family, **sizes)
    parts = {
        "generator": generator.state_dict(),
        "discriminator": critic.state_dict(),
        "episode": 7,
    }
    torch.save(parts, tmp_path / "checkpoint")
    args = (f"--checkpoint={tmp_path}/checkpoint", f"--out={tmp_path}/run")
    printed = run_command("import_torch", *args)
    assert f"{family} of width 3, 2 stages, 16 pixels" in printed
    model = figr_jax.load(tmp_path / "run")
    latents = torch.randn(5, 6)
    theirs = generator(latents).detach().numpy().transpose(0, 2, 3, 1)
    ours = model.networks.generate(model.slow.generator, latents.numpy(), None)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_imported_weights_can_be_sampled(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [torch]")
    from experiments.speed import torch_peer

    generator, critic = torch_peer.build("dcgan", 8, width=2, stages=1, latent=3)
    parts = {"generator": generator, "discriminator": critic}
    parts = {name: module.state_dict() for name, module in parts.items()}
    torch.save(parts | {"episode": 7}, tmp_path / "checkpoint")
    args = (f"--checkpoint={tmp_path}/checkpoint", f"--out={tmp_path}/run")
    run_command("import_torch", *args)
    crosses = draw_crosses(tmp_path / "crosses", 255, 0)
    args = (f"--checkpoint={tmp_path}/run", f"--support={crosses}")
    run_command("sample", *args, f"--out={tmp_path}/out", "--count=1")
    assert (tmp_path / "out" / "grid.png").exists()


def test_an_exported_model_needs_only_jax_and_numpy(workdir, tmp_path):
    """The reader of docs/extending.md, in a process that cannot import this package."""
    model, support = figr_jax.load(workdir), tmp_path / "support.npy"
    shape = (model.config.inner.shots, 8, 8, 1)
    np.save(support, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    model.export(tmp_path / "sketch-32.jax", count=5)
    page = (pathlib.Path(__file__).parent.parent / "docs/extending.md").read_text()
    reader = page.partition("from jax import export")[2].partition("```")[0]
    absent = "figr_jax", "flax", "optax", "orbax", "tensorflow_datasets", "PIL"
    program = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n"
        f"import numpy as np\nfrom jax import export{reader}\n"
        "np.save('new.npy', new)\n"
    )
    command = [sys.executable, "-I", "-c", program]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    ours = model.adapt(np.load(support)).generate(5)
    difference = np.load(tmp_path / "new.npy").astype(int) - ours
    assert abs(difference).max() <= 1
    with pytest.raises(BadInput, match="exists; give the path of a new file"):
        model.export(tmp_path / "sketch-32.jax")
