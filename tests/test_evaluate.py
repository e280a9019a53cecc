"""The report of a checkpoint: tiny networks and embeddings, real images."""

import json
import re

import jax
import numpy as np
import pytest
from conftest import quick, start_command
from PIL import Image

import figr_jax
from figr_jax import training
from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.data import splits
from figr_jax.evaluation import (
    comparison,
    controls,
    curves,
    embedding,
    embedding_training,
    evaluators,
    human,
    light,
    measurement,
    metrics,
    plane,
    presentation,
    report,
    samples,
    sections,
    supports,
)

OPTIONS = measurement.Options(
    draws=2, count=16, classes=6, curve_classes=3, scratch=2, seed=0
)
JITTERED = "support jittered"


@pytest.fixture(scope="module")
def small():
    """Curves of few points and embeddings of few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "CURVE_STEPS", (0, 1, 3))
        patch.setattr(sections, "CURVE_SHOTS", (2, 4))
        patch.setattr(sections, "SCRATCH_STEPS", 3)
        patch.setattr(plane, "COUNT", 16)
        patch.setattr(embedding_training, "STEPS", {"prototypical": 12, "simclr": 3})
        patch.setattr(embedding_training, "_WAYS", 20)
        patch.setattr(embedding_training, "_BATCH", 16)
        yield


@pytest.fixture(scope="module")
def bank(data_dir):
    return banks.load("glyphs", 8, 1, data_dir)


@pytest.fixture(scope="module")
def made(small, workdir, bank, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return out, report.make(figr_jax.load(workdir), bank, out, OPTIONS)


def test_every_arm_has_every_metric_with_an_interval(made):
    _, result = made
    assert list(result["arms"])[:2] == ["model", "random weights"]
    assert len(result["arms"]) == 8
    assert list(result["arms"])[-1] == "2 classes, one draw: model"
    for arm in result["arms"].values():
        assert arm.keys() == presentation.METRICS.keys()
        for value in arm.values():
            assert value["low"] <= value["mean"] <= value["high"]
    paired = result["model_less_jittered"]
    for metric, value in paired.items():
        first, second = (result["arms"][n][metric]["mean"] for n in ("model", JITTERED))
        scale = 2**0.5 if metric == "pooled_copying" else 1  # of two z-scores
        assert scale * value["mean"] == pytest.approx(first - second, abs=1e-6)
        assert value["low"] <= value["mean"] <= value["high"]
    assert len(result["classes"]) == 6
    assert [*result["curves"]["inner steps"]["model"]] == [0, 1, 3]
    assert [*result["curves"]["shots"]["model"]] == [2, 4]


def test_the_controls_stand_where_they_must(made):
    arms = made[1]["arms"]
    mean = {name: {k: v["mean"] for k, v in arm.items()} for name, arm in arms.items()}
    real, copied = mean["held-out real"], mean["support copied"]
    assert copied["copying"] < -2 < real["copying"] < 2
    # So few classes of so few images cannot show much more.
    assert copied["pooled_copying"] < -4 < real["pooled_copying"] < 4
    assert (
        arms["held-out real"]["kid"]["low"] < 0 < arms["held-out real"]["kid"]["high"]
    )
    assert copied["kid"] > real["kid"]
    assert mean["nearest training class"]["recognizability"] < 1
    assert mean["model"]["recognizability"] < real["recognizability"]
    assert mean["model"]["kid"] > real["kid"]


def test_the_jittered_support_is_told_from_new_images(bank):
    classes = np.flatnonzero(np.diff(bank.class_start) >= 12)[:120]
    draw = supports.draw_supports(bank, classes, 4, 0)
    keys = jax.random.split(jax.random.key(0), len(classes))
    jittered = [
        controls.jitter(x, 16, k) for x, k in zip(draw.supports, keys, strict=True)
    ]

    def pool(sets):
        rows = zip(sets, draw.reference, draw.supports, strict=True)
        rows = ([np.reshape(x, (len(x), -1)) / 255.0 for x in row] for row in rows)
        return sum(metrics.copying(*row) for row in rows) / len(classes) ** 0.5

    copied = [controls.copy(x, 16) for x in draw.supports]
    assert pool(copied) < -20 < pool(jittered) < -3 < -2 < pool(draw.real) < 2


def test_one_image_again_and_again_is_seen(small, workdir, bank):
    model = figr_jax.load(workdir)
    split = model.split(bank)
    eligible = supports.find_eligible(bank, split.indices(bank.names)[1], 4)
    draw = supports.draw_supports(bank, eligible, 4, 0)
    evaluator = evaluators.Evaluator(*embedding.load_all(bank, split))
    constant = [np.repeat(x[:1], 16, 0) for x in draw.supports]
    real, constant = evaluator(draw.real, draw), evaluator(constant, draw)
    for name in ("recall", "diversity", "vendi"):
        assert constant[name].mean() < 0.75 * real[name].mean(), name


def test_the_report_in_words_and_pictures(made):
    out, result = made
    table = (out / "report.md").read_text()
    assert f"| {JITTERED} |" in table and f"| {presentation.PAIRED} |" in table
    assert "glyphs, 6 report classes" in table
    assert json.loads((out / "report.json").read_text())["arms"] == result["arms"]
    pictures = {file.name for file in out.glob("*.png")}
    assert len(pictures) == 6 and set(re.findall(r"\((\w+\.png)\)", table)) == pictures
    for name in pictures:
        assert np.ptp(np.asarray(Image.open(out / name))) > 100
    right = result["recognizability_of_classes"]
    best, worst = (result["shown"][which] for which in ("best", "worst"))
    assert right[best[0]] == max(right.values()) and f"{'; '.join(best)}." in table
    assert right[worst[0]] == min(right.values()) and f"{'; '.join(worst)}." in table


def test_a_report_goes_on_where_it_stopped(made, small, workdir, bank, monkeypatch):
    out, result = made
    calls = []
    run = samples.adapt_and_draw

    def count(*args, **options):
        calls.append(options["label"])
        return run(*args, **options)

    seen, evaluate_sets = [], evaluators.evaluate_sets

    def watch(evaluator, drawn, draws, k=None):
        seen.extend(draws)
        return evaluate_sets(evaluator, drawn, draws, k)

    monkeypatch.setattr(samples, "adapt_and_draw", count)
    monkeypatch.setattr(evaluators, "evaluate_sets", watch)
    lost = sorted(out.glob("images/*/model-*.npz"))[0]
    lost.write_bytes(lost.read_bytes()[:100])  # cut by a kill
    again = report.make(figr_jax.load(workdir), bank, out, OPTIONS)
    assert calls == ["model"]
    assert again["arms"] == result["arms"]  # and the same seed gives the same report
    # Whatever the shots are, all are compared with the same real images.
    first = [draw.supports.shape[1] for draw in seen].index(2)
    two, four = seen[first : first + 2]
    np.testing.assert_array_equal(two.supports, four.supports[:, :2])
    for name in ("reference", "real"):
        for x, y in zip(getattr(two, name), getattr(four, name), strict=True):
            np.testing.assert_array_equal(x, y)


def test_checkpoints_are_compared_class_by_class(small, workdir, bank, tmp_path):
    models = {str(n): figr_jax.load(workdir / f"snapshots/{n}") for n in (2, 4)}
    result = comparison.make(models, bank, tmp_path, OPTIONS)
    assert [*result["arms"]] == ["2", "4", JITTERED, "held-out real"]
    (difference,) = result["differences"].values()
    for metric in ("recognizability", "diversity", "kid", "specks"):
        means = [result["arms"][name][metric]["mean"] for name in ("4", "2")]
        assert difference[metric]["mean"] == pytest.approx(means[0] - means[1])
    table = (tmp_path / "comparison.md").read_text()
    assert "| 4 less 2 |" in table and "glyphs, 6 report classes" in table
    models["4"].config.inner.shots = 5
    with pytest.raises(BadInput, match="=4: has 5 shots, the first one 4"):
        comparison.make(models, bank, tmp_path, OPTIONS)


def test_a_model_is_put_on_the_published_plane(small, workdir, bank, tmp_path):
    model = figr_jax.load(workdir)
    result = plane.measure(model, bank, tmp_path, OPTIONS)
    rows = result["rows"]
    assert rows["human drawings"]["diversity"]["mean"] == pytest.approx(1)
    assert rows["jitter, 1 shot"]["diversity"]["mean"] < 1
    assert rows["model, 1 shot"] != rows["model, 4 shot"]
    for name, row in rows.items():
        assert 0 <= row["recognizability"]["mean"] <= 1, name
    assert np.ptp(np.asarray(Image.open(tmp_path / "plane.png"))) > 100


def test_each_joint_model_has_its_own_row(small, workdir, bank, tmp_path):
    model, rows = figr_jax.load(workdir), []
    options = OPTIONS._replace(draws=1, curve_classes=0, scratch=0)
    for step in (2, 4):
        joint = figr_jax.load(workdir / f"snapshots/{step}")
        with pytest.raises(BadInput, match="was trained with 2 inner steps; joint"):
            report.make(model, bank, tmp_path, options, joint)
        joint.config.inner.steps = 1
        result = report.make(model, bank, tmp_path, options, joint)
        rows.append(result["arms"]["joint training"]["kid"])
    assert rows[0] != rows[1]
    assert rows[1] == result["arms"]["model"]["kid"]  # the very same weights


@pytest.mark.parametrize("kind", ["prototypical", "simclr"])
def test_embeddings_are_trained_on_training_classes_only(small, bank, kind):
    split = splits.choose(bank, "random", 300, 1)
    training_classes, heldout = split.indices(bank.names)
    other = np.array(bank.images)
    for index in heldout:
        other[bank.class_start[index] : bank.class_start[index + 1]] = 99
    banks_of_both = bank, bank._replace(images=other)
    first, second = (
        embedding_training.train(b, training_classes, kind, seed=3)
        for b in banks_of_both
    )
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_an_embedding_is_kept(small, bank, monkeypatch):
    split = splits.choose(bank, "random", 300, 1)
    first = embedding.load(bank, split, "prototypical", seed=3)
    monkeypatch.delattr(embedding_training, "train")
    second = embedding.load(bank, split, "prototypical", seed=3)  # from the cache
    images = bank.images[:9]
    np.testing.assert_array_equal(first(images), second(images))
    assert 0 < second.record["heldout_accuracy"] == first.record["heldout_accuracy"]


def test_what_a_class_is_judged_by_was_not_shown(bank):
    classes = np.flatnonzero(np.diff(bank.class_start) >= 12)[:3]
    draw = supports.draw_supports(bank, classes, 4, seed=5)
    for i, index in enumerate(classes):
        parts = [draw.supports[i], draw.prototypes[i][None]]
        parts += [draw.reference[i], draw.real[i]]
        rows = sorted(image.tobytes() for image in np.concatenate(parts))
        assert rows == sorted(image.tobytes() for image in bank.class_images(index))
        assert abs(len(draw.reference[i]) - len(draw.real[i])) <= 1


def test_what_a_report_refuses(small, workdir, bank, tmp_path):
    model = figr_jax.load(workdir)
    with pytest.raises(BadInput, match="--metrics=fid: no such metric; there are reco"):
        report.make(model, bank, tmp_path / "out", OPTIONS._replace(metrics=("fid",)))
    with pytest.raises(BadInput, match="--classes=1: at least 2"):
        report.make(model, bank, tmp_path / "out", OPTIONS._replace(classes=1))
    with pytest.raises(BadInput, match="--curve_classes=1: at least 2"):
        report.make(model, bank, tmp_path / "out", OPTIONS._replace(curve_classes=1))
    model.config.sampling.chosen_on = "report"
    with pytest.raises(BadInput, match="sampling was chosen on report classes"):
        report.make(model, bank, tmp_path / "out", OPTIONS)
    with pytest.raises(BadInput, match="sampling was chosen on report classes"):
        human.make_sheet(model, bank, tmp_path / "out", 2, 0)
    model.config.sampling.chosen_on = "tuning"

    later = bank._replace(version="9.9.9")
    with pytest.raises(BadInput, match="9.9.9 is prepared, the checkpoint was trained"):
        report.make(model, later, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_too_few_images_or_classes(bank, capsys):
    counts = np.diff(bank.class_start)
    heldout = np.concatenate([np.flatnonzero(counts < 9)[:3], [int(counts.argmax())]])
    with pytest.raises(BadInput, match="1 held-out classes with at least 9 images"):
        supports.find_eligible(bank, heldout, 5)
    heldout = np.append(heldout, np.flatnonzero(counts >= 9)[:20])
    assert len(supports.find_eligible(bank, heldout, 4)) == 21
    assert "3 held-out classes have fewer than 9 images" in capsys.readouterr().out


def test_scarce_classes_are_judged_with_the_prototype_as_reference(bank):
    counts = np.diff(bank.class_start)
    classes = np.flatnonzero(counts == 8)[:3]
    assert (supports.find_eligible(bank, classes, 4) == classes).all()
    draw = supports.draw_supports(bank, classes, 4, 0)
    for i in range(3):
        sets = draw.supports[i], draw.reference[i], draw.real[i]
        known = {image.tobytes() for some in sets for image in some}
        assert list(map(len, sets)) == [4, 2, 2] and len(known) == 8
        prototype = draw.prototypes[i]
        assert (draw.reference[i] == prototype).all((1, 2, 3)).any()


def test_a_judge_sheet_is_balanced_and_scored(workdir, bank, tmp_path):
    model, out = figr_jax.load(workdir), tmp_path / "judge"
    assert human.make_sheet(model, bank, out, classes=5, seed=0) == 20
    key = json.loads((out / "key.json").read_text())
    truths = [truth["answer"] for truth in key.values()]
    assert truths.count("real") == truths.count("generated") == 10
    assert len({truth["class"] for truth in key.values()}) == 5
    assert truths != sorted(truths) and truths != sorted(truths)[::-1]
    for name, truth in key.items():  # what is called real is
        image = np.asarray(Image.open(out / "images" / name))[..., None]
        images = bank.class_images(bank.names.index(truth["class"]))
        assert (images == image).all((1, 2, 3)).any() == (truth["answer"] == "real")

    form = (out / "answers.csv").read_text().splitlines()
    answers = out / "answers.csv"
    filled = [form[0]] + [line + "real" for line in form[1:]]
    filled[1] = form[1]  # one is left open
    answers.write_text("\n".join(filled))
    found = human.score(answers)
    assert (found["answered"], found["images"]) == (19, 20)
    assert found["all"]["count"] == 19 and found["all"]["right"] in (9, 10)
    assert found["all"]["low"] < 0.5 < found["all"]["high"]
    assert found["kinds"]["real"]["accuracy"] == 1
    assert found["kinds"]["generated"]["accuracy"] == 0
    assert len(found["classes"]) == 5
    with pytest.raises(BadInput, match="holds key.json already"):
        human.make_sheet(model, bank, out, classes=5, seed=0)


def test_a_key_that_is_none(tmp_path):
    (tmp_path / "key.json").write_text("[1]")
    (tmp_path / "answers.csv").write_text("0001.png,real")
    with pytest.raises(BadInput, match="cannot be read"):
        human.score(tmp_path / "answers.csv")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("image,answer\n0001.png,", "no answer yet"),
        ("0001.png,fake", "'fake'; it must be real or generated"),
        ("9.png,real", "no image '9.png' in key.json"),
        ("0001.png,real\n\xff", "cannot be read"),
    ],
)
def test_answers_that_cannot_be_scored(tmp_path, text, expected):
    key = {"0001.png": {"class": "a", "answer": "real"}}
    (tmp_path / "key.json").write_text(json.dumps(key))
    (tmp_path / "answers.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=expected):
        human.score(tmp_path / "answers.csv")


def test_a_run_measures_itself(small, data_dir, tmp_path, capsys):
    cfg = quick(meta_steps=4, evaluate_every=2)
    training.train(cfg, tmp_path / "run", data_dir)
    told = capsys.readouterr().out
    assert "evaluation of held-out real images, for comparison: recognizability" in told
    found = curves.read(tmp_path / "run")
    for name in light.METRICS:
        assert [step for step, _ in found[name]] == [2, 4]
        assert np.isfinite([value for _, value in found[name]]).all()
    training.train(quick(meta_steps=2), tmp_path / "another", data_dir)
    runs = [tmp_path / "run", tmp_path / "another"]
    picture = np.asarray(Image.open(curves.plot(runs, tmp_path / "out")))
    assert np.ptp(picture) > 100
    # A run that measures itself is the same run.
    critic_loss = curves.read(tmp_path / "another")["critic_loss"]
    assert found["critic_loss"][:1] == critic_loss


OUT = "--out={}/out"


@pytest.mark.parametrize(
    "args, expected",
    [
        ([OUT], "--checkpoint is missing"),
        (["--checkpoint={}/none", OUT], "none: no such folder"),
        (["--checkpoint={}", "--draws=0", OUT], "--draws=0"),
        (["--checkpoint={}", "x", OUT], "unexpected argument 'x'"),
        (["--checkpoint={}", "--curves={}"], "--checkpoint: is not for --curves"),
        (["--curves={}", OUT], "no run is there: metrics.jsonl: No such file"),
        (["--judge_answers={}/answers.csv"], "cannot be read (No such file"),
        (["--judge_answers=x", OUT], "--out: is not for --judge_answers"),
        (["--judge_sheet=x", "--seed=1", OUT], "--out: is not for --judge_sheet"),
    ],
)
def test_evaluate_with_bad_flags(tmp_path, args, expected):
    args = [arg.format(tmp_path) for arg in args]
    process = start_command("evaluate", *args)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2 and expected in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
