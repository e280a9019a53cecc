"""The studio's JSON API, through a real server; its page is in test_studio_page.py."""

import base64
import concurrent.futures
import contextlib
import io
import json
import signal
import socket
import threading
import time
import tracemalloc
import zipfile
from xml.etree import ElementTree

import httpx
import numpy as np
import psutil
import pytest
from conftest import run_command, start_command
from PIL import Image, ImageDraw

from figr_jax import shipped
from figr_jax.common.errors import BadInput
from figr_jax.evaluation import human

for needed in ("fastapi", "uvicorn", "vtracer"):
    pytest.importorskip(needed, reason="the extra `studio` is not installed")
import uvicorn  # noqa: E402

from figr_jax.studio import guard, jobs, models, server, works  # noqa: E402


@contextlib.contextmanager
def serve(app):
    """A server in this process; yields its address."""
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def shelf(workdir):
    return models.Shelf(models.find([workdir]))


@pytest.fixture(scope="module")
def client(shelf):
    with serve(server.make_app(shelf)) as address:
        with httpx.Client(base_url=address, timeout=60) as client:
            yield client


@pytest.fixture(scope="module")
def name(client):
    return client.get("/api/models").json()[0]


@pytest.fixture(scope="module")
def example(client, name):
    return client.get(f"/api/models/{name}/examples/0").json()["images"]


def to_text(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def to_pixels(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def follow(client, job):
    with client.stream("GET", f"/api/jobs/{job}/events") as response:
        lines = [x for x in response.iter_lines() if x.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def adapt(client, name, support, **more):
    body = {"model": name, "support": support, **more}
    return client.post("/api/adapt", json=body).raise_for_status().json()["job"]


@pytest.fixture(scope="module")
def adapted(client, name, example):
    job = adapt(client, name, example, seed=3, inner_steps=4)
    return job, follow(client, job)


def test_samples_come_after_every_inner_step(adapted):
    _, events = adapted
    types = [event["type"] for event in events if event["type"] != "waiting"]
    assert types == ["started", "step", "step", "step", "step", "done"]
    steps = [event for event in events if event["type"] == "step"]
    assert [(event["step"], event["steps"]) for event in steps] == [
        (i, 4) for i in range(1, 5)
    ]
    assert all(np.isfinite(event["critic_loss"]) for event in steps)
    first, last = ([to_pixels(x) for x in steps[i]["images"]] for i in (0, -1))
    assert len(first) == works.PREVIEW and first[0].shape == (8, 8)
    assert not np.array_equal(first, last)


def test_an_adaptation_continues_an_earlier_one(client, name, example, adapted):
    job, _ = adapted
    latents = np.random.default_rng(0).normal(size=(4, 3)).tolist()

    def draw(job):
        found = client.post(f"/api/jobs/{job}/images", json={"latents": latents})
        return [image["image"] for image in found.raise_for_status().json()["images"]]

    def steps(job):
        events = follow(client, job)
        return [event["step"] for event in events if event["type"] == "step"]

    before = draw(job)
    further = adapt(client, name, example, seed=3, inner_steps=6, continues=job)
    assert steps(further) == [5, 6]
    back = adapt(client, name, example, seed=3, inner_steps=2, continues=further)
    assert steps(back) == []
    for found, count in [(further, 6), (back, 2)]:
        whole = adapt(client, name, example, seed=3, inner_steps=count)
        assert steps(whole) == list(range(1, count + 1))
        assert draw(found) == draw(whole)
    assert draw(job) == before
    # Another seed, other images or an expired job: all steps are taken.
    for change in ({"seed": 4}, {"support": example[::-1]}, {"continues": "gone"}):
        asked = {"support": example, "seed": 3, "continues": job, **change}
        assert steps(adapt(client, name, inner_steps=5, **asked)) == [1, 2, 3, 4, 5]


def test_states_that_take_too_much_memory_are_dropped(
    client, name, example, monkeypatch
):
    monkeypatch.setattr(works, "_KEPT_BYTES", 1)
    latents = {"latents": [[0.5, 1.0, -1.0]]}

    def take(count, **more):
        job = adapt(client, name, example, seed=7, inner_steps=count, **more)
        taken = [e["step"] for e in follow(client, job) if e["type"] == "step"]
        return job, taken, client.post(f"/api/jobs/{job}/images", json=latents).json()

    job, _, four = take(4)
    assert take(4, continues=job)[1:] == ([], four)
    _, taken, two = take(2, continues=job)
    assert taken == [1, 2] and two == take(2)[2]
    _, taken, six = take(6, continues=job)
    assert taken == [5, 6] and six == take(6)[2]


def test_an_adaptation_to_images_in_colour_says_that_they_become_grey(client, name):
    support = []
    for colour in ["red", "black", "black", "black"]:
        image = Image.new("RGB", (40, 40), "white")
        place = (5, 5, 35, 20 + len(support))
        ImageDraw.Draw(image).ellipse(place, fill=colour)
        support.append(to_text(image))
    hints = []
    for asked in (support, support[1:]):
        body = {"model": name, "support": asked, "inner_steps": 0}
        hints.append(" ".join(client.post("/api/adapt", json=body).json()["hints"]))
    assert "1 of 4 images are in colour: converted to grey" in hints[0]
    assert "colour" not in hints[1]


def test_latents_depend_on_the_seed_and_their_number_alone(
    client, shelf, name, adapted
):
    job, _ = adapted

    def draw(**asked):
        return client.post(f"/api/jobs/{job}/latents", json=asked).json()["latents"]

    many = draw(seed=5, count=9)
    assert np.shape(many) == (9, 3) and draw(seed=5, count=4) == many[:4]
    assert draw(seed=6, count=9) != many
    assert refuse(client, f"/api/jobs/{job}/latents", {"count": 65})[0] == 400


def test_a_model_without_mixing_weights_has_no_steering(client, name):
    path = f"/api/models/{name}/steering"
    assert client.get(f"{path}/4").json() == {"changes": []}
    assert "shots" in client.get(f"{path}/17").json()["error"]


def test_a_drawing_is_centred_scaled_and_its_polarity_found(client, name, shelf):
    # White on black, small, in a corner, and another format.
    image = Image.new("L", (300, 200), 0)
    ImageDraw.Draw(image).ellipse((10, 10, 60, 60), fill=255)
    asked = {"model": name, "images": [to_text(image, "WEBP")]}
    found = client.post("/api/see", json=asked).json()
    assert found["swapped"] == [True]
    seen = to_pixels(found["images"][0])
    assert seen.shape == (8, 8) and seen[0, 0] > 200  # glyphs are black on white
    dark = np.argwhere(seen < 128)
    assert np.abs(dark.mean(0) - 3.5).max() < 0.6
    extent = (np.ptp(dark, axis=0) + 1).max() / 8
    assert abs(extent - shelf.get(name).generator.style.middle.extent) < 0.2


def test_an_image_of_the_models_size_is_seen_and_adapted_to_alike(client, name):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:6, 3:5] = 255  # white on black: the other way
    text = to_text(Image.fromarray(pixels))
    asked = {"model": name, "images": [text]}
    seen = to_pixels(client.post("/api/see", json=asked).json()["images"][0])
    np.testing.assert_array_equal(seen, 255 - pixels)
    data_url = f"data:image/png;base64,{text[:20]}\n{text[20:]}"
    job = adapt(client, name, [data_url], seed=1, inner_steps=0)
    follow(client, job)
    asked = {"latents": [[0.0] * 3], "format": "zip"}
    response = client.post(f"/api/jobs/{job}/export", json=asked)
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    support = json.loads(archive.read("recipe.json"))["support"]
    np.testing.assert_array_equal(to_pixels(support[0]), seen)


def test_each_image_tells_what_drawing_it_is_near(client, name, adapted):
    job, events = adapted
    latents = np.random.default_rng(0).normal(size=(5, 3)).tolist()
    found = client.post(f"/api/jobs/{job}/images", json={"latents": latents}).json()
    assert len(found["images"]) == 5
    for image in found["images"]:
        assert image["nearest"] in range(4) and -1 <= image["similarity"] <= 1
        assert image["copy"] == (image["similarity"] >= 0.95)
    # The same latents give the same images, in any company.
    alone = client.post(f"/api/jobs/{job}/images", json={"latents": latents[2:3]})
    assert alone.json()["images"][0] == found["images"][2]


def test_the_zip_opens_and_sample_draws_the_same(
    client, name, adapted, workdir, tmp_path
):
    job, _ = adapted
    latents = np.random.default_rng(1).normal(size=(3, 3)).tolist()
    asked = {"latents": latents, "format": "zip", "size": 64, "transparent": True}
    response = client.post(f"/api/jobs/{job}/export", json=asked)
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    images = [f"{i:02}.{kind}" for i in range(3) for kind in ("png", "svg")]
    assert archive.namelist() == [*images, "sheet.png", "recipe.json"]
    picture = Image.open(archive.open("01.png"))
    assert picture.size == (64, 64) and picture.mode == "RGBA"
    archive.extract("recipe.json", tmp_path)

    out = tmp_path / "again"
    checkpoint, recipe = f"--checkpoint={workdir}", f"--recipe={tmp_path}/recipe.json"
    run_command("sample", checkpoint, recipe, f"--out={out}")
    drawn = client.post(f"/api/jobs/{job}/images", json={"latents": latents}).json()
    for i, image in enumerate(drawn["images"]):
        again = np.asarray(Image.open(out / f"generated_{i:03}.png"))
        np.testing.assert_array_equal(again, to_pixels(image["image"]))
    assert len(list(out.glob("generated_*.png"))) == 3


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda r: r.pop("latents"), "cannot be read"),
        (lambda r: r.update(snapshot=1), "another snapshot"),
        (lambda r: r.update(latents=[[1.0]]), "do not fit"),
        (lambda r: r.update(support=["x"]), "cannot be read"),
        (lambda r: r.update(seed=-1), "do not fit"),
        (lambda r: r.update(seed=float("inf")), "cannot be read"),
    ],
)
def test_a_damaged_recipe_is_refused(
    client, adapted, workdir, tmp_path, damage, message
):
    from figr_jax import generation, recipe

    job, _ = adapted
    asked = {"latents": [[0.0, 0.0, 0.0]], "format": "zip"}
    response = client.post(f"/api/jobs/{job}/export", json=asked)
    found = json.loads(
        zipfile.ZipFile(io.BytesIO(response.content)).read("recipe.json")
    )
    damage(found)
    (tmp_path / "r.json").write_text(json.dumps(found))
    with pytest.raises(BadInput, match=message):
        recipe.read(tmp_path / "r.json", generation.load(workdir))


def test_pictures_to_take_away(client, adapted):
    job, _ = adapted
    asked = {"latents": [[0.0, 1.0, 0.0]] * 9, "size": 128}

    def export(**more):
        return client.post(f"/api/jobs/{job}/export", json={**asked, **more})

    assert Image.open(io.BytesIO(export(format="png").content)).size == (128, 128)
    sheet = Image.open(io.BytesIO(export(format="sheet").content))
    assert sheet.width > 8 * 128 and sheet.height > 2 * 128
    for transparent in (True, False):
        svg = export(format="svg", transparent=transparent)
        shapes = [x.tag.split("}")[1] for x in ElementTree.fromstring(svg.text)]
        assert ("rect" in shapes) is not transparent and set(shapes) <= {"rect", "path"}
        assert ElementTree.fromstring(svg.text).get("viewBox")  # else of one size only


@pytest.mark.parametrize("sheets", [False, True])
def test_a_game_of_real_or_generated(client, name, tmp_path, sheets):
    asked = {"model": name, "seed": 1, "sheets": sheets}
    job = client.post("/api/judge", json=asked).json()["job"]
    events = follow(client, job)
    (shown,) = [event["images"] for event in events if event["type"] == "images"]
    height, width = to_pixels(next(iter(shown.values()))).shape[:2]
    assert (width > 2 * height) is sheets  # four against four
    right = 0
    for image in shown:
        asked = {"image": image, "answer": "real"}
        told = client.post(f"/api/jobs/{job}/answers", json=asked).json()
        right += told["truth"]["answer"] == "real"
        assert told["score"]["all"]["right"] == right
    assert right == len(shown) / 2  # balanced
    again = {"image": next(iter(shown)), "answer": "generated"}  # too late
    told = client.post(f"/api/jobs/{job}/answers", json=again).json()
    assert told["score"]["all"]["right"] == right
    handed = client.get(f"/api/jobs/{job}/answers.zip").content
    zipfile.ZipFile(io.BytesIO(handed)).extractall(tmp_path)
    assert human.score(tmp_path / "answers.csv")["all"]["accuracy"] == 0.5


def test_a_job_can_be_cancelled(client, name, example):
    job = adapt(client, name, example, inner_steps=100)
    waiting = adapt(client, name, example)
    client.delete(f"/api/jobs/{waiting}").raise_for_status()
    client.delete(f"/api/jobs/{job}").raise_for_status()
    assert follow(client, job)[-1]["type"] == "cancelled"
    assert [event["type"] for event in follow(client, waiting)][-1] == "cancelled"
    # Else its recipe would tell of inner steps that were never taken.
    assert refuse(client, f"/api/jobs/{job}/images", {"latents": [[0.0] * 3]})[0] == 409


def refuse(client, path, body, **headers):
    response = client.post(path, json=body, headers=headers)
    message = response.json()["error"]
    assert "\n" not in message and "Traceback" not in message
    return response.status_code, message


def test_bad_requests_get_one_clear_sentence(client, name, example, adapted):
    job, _ = adapted
    big = Image.new("L", (4096, 4097))
    text = base64.b64encode(b"no image").decode()
    for change, status, message in [
        ({"model": "../../etc"}, 404, "no model '../../etc'"),
        ({"support": []}, 400, "support: "),
        ({"support": [text]}, 400, "image 1 cannot be read (unknown format)"),
        ({"support": ["%"]}, 400, "not in base64"),
        (
            {"support": [*example[:1], to_text(big)]},
            400,
            "image 2 cannot be read (4096",
        ),
        ({"support": example * 5}, 400, "support: "),
        ({"inner_steps": 101}, 400, "inner_steps: "),
        ({"seed": -1}, 400, "seed: "),
        ({"inner_step": 3}, 400, "inner_step: "),
    ]:
        body = {"model": name, "support": example, **change}
        found = refuse(client, "/api/adapt", body)
        assert found[0] == status and message in found[1], found
    images = f"/api/jobs/{job}/images"
    for latents in ([[0.0]], [[1e9, 0.0, 0.0]], [], [[0.0, 0.0, 0.0]] * 65, "x"):
        found = refuse(client, images, {"latents": latents})
        assert found[0] == 400 and "latents" in found[1], found
    assert refuse(client, "/api/jobs/x/images", {"latents": [[0.0]]})[0] == 404
    assert refuse(client, f"/api/jobs/{job}/answers", {"image": "x", "answer": "real"})[
        0
    ] == (409)
    broken = client.post(
        "/api/see", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert broken.status_code == 400 and "not valid JSON" in broken.json()["error"]
    assert "nothing at this address" in client.get("/api/nothing").json()["error"]
    assert client.get("/../../server.py").status_code == 404


def test_too_large_a_request_is_refused_before_it_is_read(client):
    def chunks():  # with no Content-Length
        for _ in range(20):
            yield b" " * 2**20

    for content in (b" " * (guard.MAX_BODY + 1), chunks()):
        response = client.post("/api/see", content=content)
        assert response.status_code == 413 and "larger than" in response.text


def test_a_long_thin_image_takes_no_more_memory_than_others(client, name):
    image = Image.new("L", (20_000, 100), 255)
    image.paste(0, (2_000, 40, 18_000, 60))
    asked = {"model": name, "images": [to_text(image)]}
    tracemalloc.start()
    client.post("/api/see", json=asked).raise_for_status()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**26


def test_other_sites_and_names_are_refused(client, name):
    for headers, status in [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),  # of another program here
    ]:
        assert client.get("/api/models", headers=headers).status_code == status
    own = str(client.base_url).rstrip("/")
    response = client.get("/api/models", headers={"Origin": own})
    assert response.json() == [name]
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


def test_a_token_is_wanted_where_others_listen(shelf):
    with serve(server.make_app(shelf, token="secret")) as address:
        assert httpx.get(f"{address}/api/models").status_code == 401
        for headers, status in [({}, 401), ({"Host": "evil.example"}, 421)]:
            refused = httpx.get(f"{address}/?token=wrong", headers=headers)
            assert refused.status_code == status and "secret" not in str(
                refused.headers
            )
        bearer = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{address}/api/models", headers=bearer).status_code == 200
        with httpx.Client(base_url=address) as visitor:  # the printed address
            assert visitor.get("/?token=secret").status_code == 200
            assert visitor.get("/api/models").status_code == 200


def test_fifty_clients_at_once_all_get_an_answer(client, name, example):
    def visit(seed):
        job = adapt(client, name, example, seed=seed)
        return follow(client, job)[-1]["type"]

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert list(pool.map(visit, range(50))) == ["done"] * 50


def test_too_many_waiting_jobs_are_refused():
    gate = threading.Event()

    def work(job):
        gate.wait(60)
        yield {"type": "started"}

    queue = jobs.Queue(waiting=3)
    added = [queue.add(work) for _ in range(3)]
    with pytest.raises(jobs.Full):
        queue.add(work)
    gate.set()
    while not all(job.is_over for job in added):
        time.sleep(0.01)


def test_a_job_that_waits_is_cancelled_at_once():
    gate = threading.Event()

    def work(job):
        gate.wait(60)
        yield {"type": "started"}

    queue = jobs.Queue(waiting=2)
    first, second = queue.add(work), queue.add(work)
    queue.cancel(second)
    assert second.events == [{"type": "cancelled"}]
    queue.add(work)  # in its place
    gate.set()
    while not first.is_over:
        time.sleep(0.01)
    assert first.events[-1]["type"] == "done"


def test_old_jobs_are_forgotten_unless_they_are_in_use():
    def work(job):
        yield {"type": "step", "images": ["x" * 1000]}

    queue, added = jobs.Queue(kept_bytes=2500), []
    for _ in range(4):
        added.append(queue.add(work))
        while not added[-1].is_over:
            time.sleep(0.01)
        queue.get(added[0].id)
    queue.add(work)
    known = [queue.get(job.id) is job for job in added]
    assert known == [True, False, False, True]


def test_what_jobs_share_counts_once():
    def add(parts):
        def work(job):
            yield {"type": "step"}
            job.parts = parts

        added.append(queue.add(work))
        while not added[-1].is_over:
            time.sleep(0.01)
        return [queue.get(job.id) is job for job in added]

    queue, added = jobs.Queue(kept_bytes=3500), []
    for parts in ({1: 2000}, {1: 2000}, {2: 1000}):
        add(parts)
    assert add({3: 1000}) == [True] * 4  # a job is forgotten when the next one comes
    # Forgetting the first one frees nothing, because the second one has the same part.
    assert add({}) == [False, False, True, True, True]


def test_a_job_that_fails_takes_nothing_down(client, name, example, shelf, monkeypatch):
    generator = shelf.get(name).generator

    def fail(*args):
        raise RuntimeError("broken")

    monkeypatch.setattr(type(generator), "start", fail)
    events = follow(client, adapt(client, name, example))
    assert events[-1] == {"type": "failed", "error": "internal error"}
    monkeypatch.undo()
    assert follow(client, adapt(client, name, example))[-1]["type"] == "done"


def test_a_job_that_takes_too_long_is_stopped():
    def work(job):
        while True:
            yield {"type": "step"}
            time.sleep(0.01)

    job = jobs.Job(work)
    job.run(seconds=0.1)
    assert job.events[-1]["error"] == (
        "the job took more than 0.1 seconds; try again with fewer steps"
    )


def test_memory_stays_flat_over_500_jobs(client, name, example):
    process, sizes = psutil.Process(), []
    for count in range(500):
        job = adapt(client, name, example, inner_steps=1)
        follow(client, job)
        if count in (150, 499):
            sizes.append(process.memory_info().rss)
    assert sizes[1] < 1.05 * sizes[0]


def test_without_runs_what_ships_is_on_offer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A run that is writing its first snapshot is not on offer yet.
    (tmp_path / "runs/new/snapshots/20.orbax-checkpoint-tmp").mkdir(parents=True)
    assert models.find()["sketch-32"] and "new" not in models.find()

    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(BadInput, match="train one"):
        models.find()


def test_models_of_one_name_are_all_on_offer(workdir):
    runs = ["a/run", "b/run", "b/run/snapshots/20"]
    assert list(models.find(runs)) == ["run", "run (2)", "run 20"]


def test_who_listens_to_this_machine_alone_needs_no_token():
    hosts = ["127.0.0.1", "127.0.0.2", "::1", "localhost", "0.0.0.0", "::", "a.example"]
    assert [guard.is_local(host) for host in hosts] == [True] * 4 + [False] * 3


def test_a_port_in_use_is_told_before_a_minute_is_spent(client, workdir):
    port = client.base_url.port
    process = start_command("studio", f"--checkpoint={workdir}", f"--port={port}")
    out, error = process.communicate(timeout=60)
    assert process.returncode == 2 and not out
    assert "already in use" in error and error.count("\n") == 1


def test_ctrl_c_ends_it_from_the_first_moment_on(workdir):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start_command("studio", f"--checkpoint={workdir}", f"--port={port}")
    for line in process.stdout:
        if line.startswith("open "):
            process.send_signal(signal.SIGINT)
            break
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")


def test_the_api_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert "/api/adapt" in paths and "/api/jobs/{id}/export" in paths
    for methods in paths.values():
        for method in methods.values():
            assert method["description"]
            assert method["responses"]["200" if "200" in method["responses"] else "202"]
            assert "4XX" in method["responses"] and "422" not in method["responses"]


def test_the_card_has_the_figures_of_the_last_report(workdir, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(workdir, folder)
    assert models.Model("run", folder).card()["report"] is None
    (folder / "report").mkdir()
    arm = {"recognizability": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    report = {"arms": {"model": arm}, "classes": ["a"], "checkpoint": {"snapshot": 1}}
    (folder / "report/report.json").write_text(json.dumps(report))  # as none writes it
    assert models.Model("run", folder).card()["report"] is None
    report["provenance"] = {"date": "today"}
    (folder / "report/report.json").write_text(json.dumps(report))
    card = models.Model("run", folder).card()
    assert card["report"]["arms"]["model"] == arm
    assert card["licence"].startswith("DejaVu") and card["meta_steps"] == 4
