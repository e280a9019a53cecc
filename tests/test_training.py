import json
import shutil
import sys

import jax
import numpy as np
import optax
import pytest
from conftest import ROOT, edit_info, load_config, metrics, prepare_noise, quick, shrink
from PIL import Image

import figr_jax
from figr_jax import (
    adaptation,
    checkpoints,
    config,
    losses,
    networks,
    reptile,
    training,
)
from figr_jax.common import compilation
from figr_jax.common.errors import BadInput, FailedWork
from figr_jax.data import bank as banks
from figr_jax.data import feed
from figr_jax.data.builders.open_icons.open_icons import OpenIcons
from figr_jax.data.images import to_uint8
from figr_jax.evaluation import embedding_training, light
from figr_jax.training import block

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
OTHER_RATE = 0.5  # of the outer optimizer: the rate is compiled in, so one is enough


def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(
    whole, tmp_path, data_dir
):
    training.train(quick(meta_steps=3), tmp_path, data_dir)  # ends within a block
    # As a run killed after logging a block and before saving it leaves the file.
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "critic_loss": 7}\n{"step": 5, "cri')
    state = training.train(quick(), tmp_path, data_dir)
    jax.tree.map(np.testing.assert_array_equal, state, whole[1])
    assert [r["step"] for r in metrics(tmp_path)] == [2, 3, 4, 6]
    assert metrics(tmp_path)[-1] == metrics(whole[0])[-1]
    sessions = figr_jax.load(tmp_path).info["sessions"]
    assert [session["from_step"] for session in sessions] == [0, 3]
    assert all(session["jax"] == jax.__version__ for session in sessions)


def test_the_numbers_do_not_depend_on_the_block_size(whole, tmp_path, data_dir):
    cfg = quick(log_every=3, save_every=3, sample_every=3)
    state = training.train(cfg, tmp_path, data_dir)
    jax.tree.map(np.testing.assert_array_equal, state, whole[1])


def test_a_run_may_start_from_other_weights(whole, tmp_path, data_dir, capsys):
    cfg = quick(init_from=str(whole[0]), meta_steps=1)
    cfg.networks.sharpness = 2.0
    cfg.outer.learning_rate = 1e-9  # too small to move them
    state = training.train(cfg, tmp_path / "run", data_dir)
    jax.tree.map(
        lambda new, old: np.testing.assert_allclose(new, old, atol=1e-6),
        state.slow,
        whole[1].slow,
    )
    printed = capsys.readouterr()
    assert f"starting from the weights of {whole[0]}" in printed.out
    assert "--config.networks.sharpness=2.0: " in printed.err


def test_weights_of_other_networks_are_refused(whole, tmp_path, data_dir):
    cfg = quick(init_from=str(whole[0]))
    cfg.networks.latent += 1
    with pytest.raises(BadInput, match="init_from=.*give this run the same"):
        training.train(cfg, tmp_path / "run", data_dir)


def test_a_finished_run_is_left_alone(whole, data_dir, capsys):
    before = metrics(whole[0])
    training.train(quick(), whole[0], data_dir)
    assert "nothing to do" in capsys.readouterr().out
    assert metrics(whole[0]) == before


def test_a_finished_run_may_be_sampled_from_otherwise(workdir, data_dir, tmp_path):
    run = shutil.copytree(workdir, tmp_path / "run")
    cfg = config.from_dict(figr_jax.load(run).info["config"])
    cfg.sampling.latent_scale = 2.0
    state = training.train(cfg, run, data_dir)
    model, before = figr_jax.load(run), figr_jax.load(workdir)
    assert model.config.sampling.latent_scale == 2
    assert before.config.sampling.latent_scale == 1
    jax.tree.map(np.testing.assert_array_equal, model.slow, before.slow)
    jax.tree.map(np.testing.assert_array_equal, model.slow, state.slow)


def test_memory_of_a_meta_step():
    """Six copies of the parameters: slow, two moments, fast, gradient, difference."""
    nets = networks.build("dcgan", image_size=8, width=64, stages=2)  # few activations
    inner = adaptation.Inner(losses.wgan_gp(), optax.sgd(1e-4), 2)
    outer = optax.adam(1e-5)
    state = jax.eval_shape(lambda k: reptile.init(nets, k, outer), jax.random.key(0))
    images = jax.ShapeDtypeStruct((1, 1, 2, 8, 8, 1), np.uint8)
    mesh = block.make_mesh(1)
    made = block.make_block(nets, inner, outer, 1, 2, mesh)
    options = compilation.options()
    jitted = jax.jit(made, donate_argnums=0, compiler_options=options)
    compiled = jitted.lower(state, 1, 0, feed.Streamed(images)).compile()
    copy = sum(4 * leaf.size for leaf in jax.tree.leaves(state.slow))
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= 3 * copy  # what is donated is written over
    assert memory.argument_size_in_bytes + memory.temp_size_in_bytes < 7 * copy


@pytest.fixture(scope="module")
def all_data(data_dir):
    """A folder in which noise stands in for the data sets that are not embedded."""
    many = [f"class {i:02}" for i in range(60)]
    prepare_noise("mnist", [str(i) for i in range(10)], data_dir)
    prepare_noise("omniglot", many, data_dir)
    prepare_noise("figr8", many, data_dir)
    prepare_noise("cifar100", many, data_dir, COLOUR=True)
    configs = {"BUILDER_CONFIGS": OpenIcons.BUILDER_CONFIGS}
    icons = [f"icon {i:02}" for i in range(60)]  # a mix needs names of its own
    prepare_noise("open_icons", icons, data_dir, **configs)
    prepare_noise("open_icons", icons, data_dir, config="colour", **configs)
    return data_dir


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs_a_meta_step(path, tmp_path, all_data):
    # From the host, with the same shots: then one program serves most of them.
    cfg = shrink(load_config(path), meta_steps=1, bank="host")
    cfg.inner.shots = 2
    cfg.dataset.heldout = min(cfg.dataset.heldout, 50)
    if cfg.dataset.split == "weak":  # noise has no alphabets to choose from
        cfg.dataset.split = "random"
    training.train(cfg, tmp_path, all_data)
    (record,) = metrics(tmp_path)
    assert np.isfinite(list(record.values())).all()
    assert record["update_norm"] > 0
    assert figr_jax.load(tmp_path).config == cfg


def test_a_run_on_a_mix_measures_each_of_its_data_sets(all_data, tmp_path, monkeypatch):
    steps = {"prototypical": 2, "simclr": 2}
    for name, value in (("STEPS", steps), ("_WAYS", 20), ("_BATCH", 16)):
        monkeypatch.setattr(embedding_training, name, value)
    cfg = quick(meta_steps=2, evaluate_every=2)
    cfg.dataset.update(name="mix:omniglot,glyphs", heldout=20)
    training.train(cfg, tmp_path, all_data)
    measured = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert list(measured) == ["step"] + [
        f"{name}/{metric}"
        for name in ("omniglot", "glyphs")
        for metric in light.METRICS
    ]
    assert np.isfinite(list(measured.values())).all()


def test_the_folder_of_a_run(workdir):
    assert {p.name for p in workdir.iterdir()} == {
        *("checkpoints", "snapshots", "samples"),
        *("metrics.jsonl", "config.json", "split.json"),
    }
    assert [p.name for p in (workdir / "samples").iterdir()] == ["4.png"]
    assert [r["step"] for r in metrics(workdir)] == [2, 4]
    split = json.loads((workdir / "split.json").read_text())
    assert len(set(split["heldout"])) == 50
    stored = config.from_dict(json.loads((workdir / "config.json").read_text()))
    assert stored.networks.width == 2


def test_grid_has_a_red_support_above_three_generated_rows(workdir):
    grid = np.asarray(Image.open(workdir / "samples/4.png"))
    side = 64 + 2  # an image, enlarged, and its frame
    assert grid.shape == (4 * side, 4 * 4 * side + 3 * 16, 3)
    np.testing.assert_array_equal(grid[0, 0], grid[side - 1, 4 * side - 1])
    red, grey = grid[0, 0].astype(int), grid[side, 0].astype(int)
    assert red[0] > 2 * red[1] and grey[0] == grey[1] == grey[2]


@pytest.fixture
def supports(monkeypatch):
    """All supports that meta-training adapts to, `[shots, H, W, C]` uint8 each."""
    seen = []
    meta_step = reptile.meta_step

    def spy(networks, state, tasks, *args):
        jax.debug.callback(
            lambda x: seen.extend(np.asarray(to_uint8(x))), tasks.support
        )
        return meta_step(networks, state, tasks, *args)

    monkeypatch.setattr(reptile, "meta_step", spy)
    return seen


@pytest.mark.parametrize(
    # Also after a resume: the published code redraws the split then.
    "place, parts",
    [("device", (20, 40)), ("host", (40,))],
)
def test_heldout_classes_never_reach_training(
    place, parts, tmp_path, all_data, supports, capsys
):
    cfg = quick(bank=place, log_every=20, save_every=20)
    cfg.dataset.name = "figr8"
    cfg.outer.tasks = 2
    bank = banks.load("figr8", 8, 1, all_data)
    owner = {
        image.tobytes(): name
        for i, name in enumerate(bank.names)
        for image in bank.class_images(i)
    }
    for meta_steps in parts:
        cfg.run.meta_steps = meta_steps
        training.train(cfg, tmp_path, all_data)
    heldout = json.loads((tmp_path / "split.json").read_text())["heldout"]
    assert len(heldout) == 50 and len(supports) == 40 * 2
    classes = [{owner[image.tobytes()] for image in support} for support in supports]
    assert all(len(names) == 1 for names in classes)
    trained = set.union(*classes)
    assert trained == set(bank.names) - set(heldout)  # all of the other ten
    assert ("streaming" in capsys.readouterr().out) == (place == "host")


def test_a_streamed_run_equals_one_with_the_bank_on_the_device(
    whole, tmp_path, data_dir
):
    training.train(quick(meta_steps=3, bank="host"), tmp_path, data_dir)
    state = training.train(quick(bank="host"), tmp_path, data_dir)
    jax.tree.map(np.testing.assert_array_equal, state, whole[1])
    assert metrics(tmp_path)[-1] == metrics(whole[0])[-1]


def test_classes_with_too_few_images_are_never_drawn(tmp_path, capsys, supports):
    names = [*["small"] * 3, *["large"] * 4, *["other"] * 4]
    prepare_noise("figr8", names, tmp_path, per_class=1)
    cfg = quick(meta_steps=2)
    cfg.dataset.update(name="figr8", split="classes:other")
    training.train(cfg, tmp_path / "run", tmp_path)
    assert "1 classes have fewer than 4 images" in capsys.readouterr().out
    bank = banks.load("figr8", 8, 1, tmp_path)
    large = {image.tobytes() for image in bank.class_images(bank.names.index("large"))}
    for support in supports:
        assert {image.tobytes() for image in support} == large


def test_too_many_shots_are_refused(tmp_path, all_data):
    cfg = quick(meta_steps=1)
    cfg.dataset.update(name="figr8", split="classes:class 00")
    cfg.inner.shots = 9
    with pytest.raises(BadInput, match="inner.shots=9: no class of figr8 has 9"):
        training.train(cfg, tmp_path, all_data)


def test_another_version_of_the_data_is_refused(whole, tmp_path, data_dir):
    workdir = shutil.copytree(whole[0], tmp_path / "copy")
    for step in workdir.glob("checkpoints/*"):
        edit_info(step, lambda info: info["split"].update(version="0.9.0"))
    with pytest.raises(BadInput, match="glyphs 1.0.0.* is prepared.*on 0.9.0"):
        training.train(quick(meta_steps=7), workdir, data_dir)


@pytest.mark.parametrize(
    "section, field, value",
    [
        ("networks", "width", 4),
        ("dataset", "split_seed", 1),
        ("outer", "optimizer", "sgd"),
    ],
)
def test_resuming_refuses_what_must_not_change(whole, data_dir, section, field, value):
    cfg = quick()
    cfg[section][field] = value
    with pytest.raises(
        BadInput, match=rf"--config.{section}.{field}={value!r}: the run"
    ):
        training.train(cfg, whole[0], data_dir)


def test_a_rate_may_change_on_resume(whole, tmp_path, data_dir, capsys):
    workdir = shutil.copytree(whole[0], tmp_path / "copy")
    cfg = quick(meta_steps=7)
    cfg.outer.learning_rate = OTHER_RATE
    state = training.train(cfg, workdir, data_dir)
    assert int(state.step) == 7
    assert "outer.learning_rate from 0.0005 to 0.5" in capsys.readouterr().out


def test_diverged_losses_stop_the_run(tmp_path, data_dir):
    cfg = quick()
    cfg.outer.update(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(
        FailedWork, match="meta-step 2: losses or parameters are no longer"
    ):
        training.train(cfg, tmp_path, data_dir)
    assert not list((tmp_path / "snapshots").glob("[0-9]*"))


def test_weights_are_held_to_their_checksums(workdir):
    snapshot = workdir / "snapshots/4"
    slow, info = figr_jax.load(snapshot).slow, checkpoints.read_info(snapshot)
    leaf = next(iter(info["checksums"]))
    info["checksums"][leaf] ^= 1
    with pytest.raises(FailedWork, match="a checksum does not match"):
        checkpoints.load(snapshot, "slow", slow, info)


def test_a_snapshot_that_a_killed_run_left_too_early_is_written_anew(
    whole, tmp_path, data_dir
):
    workdir = shutil.copytree(whole[0], tmp_path / "copy")
    shutil.rmtree(workdir / "checkpoints/6")  # killed before this was complete
    cfg = quick()
    cfg.outer.learning_rate = OTHER_RATE
    state = training.train(cfg, workdir, data_dir)
    slow = figr_jax.load(workdir).slow
    jax.tree.map(np.testing.assert_array_equal, slow, state.slow)


def test_snapshots_without_a_checkpoint_are_not_mixed_with_a_new_run(
    whole, tmp_path, data_dir
):
    workdir = shutil.copytree(whole[0], tmp_path / "copy")
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(BadInput, match="no checkpoint to resume from"):
        training.train(quick(), workdir, data_dir)


def test_tensorboard_asks_for_its_extra_at_once(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(BadInput, match="pip install"):
        training.train(quick(tensorboard=True), tmp_path, tmp_path / "no data")
