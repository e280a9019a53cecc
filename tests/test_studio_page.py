"""The studio's page, in a real browser: what an artist does."""

import base64
import contextlib
import io
import re
import shutil
import zipfile
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_studio import serve  # skips, as that file does, without the extra

from figr_jax import build, config, generation, shipped
from figr_jax.evaluation import human
from figr_jax.networks import fusion
from figr_jax.studio import models, server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def address(workdir):
    with serve(server.make_app(models.Shelf(models.find([workdir])))) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"]  # for root, as in a container
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def fused(workdir, tmp_path_factory):
    """Address of a studio whose model has mixing weights and picks the best of 3."""
    info = generation.load(workdir).info
    cfg = config.from_dict(info["config"])
    cfg.networks.update(family="fusion", latent=8)
    cfg.sampling.update(best_of=3)
    slow = jax.jit(build.networks(cfg).init)(jax.random.key(0))
    folder = tmp_path_factory.mktemp("weights")
    shipped.write(folder / "fused.npz", slow, info | {"config": cfg.to_dict()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "FOLDER", folder)
        shelf = models.Shelf(models.find(["fused"]))
        shelf.get("fused").warm_up()
        with serve(server.make_app(shelf)) as address:
            yield address


@contextlib.contextmanager
def visit(browser, address):
    """A page of a new visitor; fails if a script of it does."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(address)
    page.wait_for_selector(".shot .pin")  # an example is there and adapted to
    yield page
    assert not errors
    page.close()


@pytest.fixture
def page(browser, address):
    with visit(browser, address) as page:
        yield page


@pytest.fixture
def steered(browser, fused):
    with visit(browser, fused) as page:
        yield page


def draw(page, number):
    """A shaky cross in a cell."""
    box = page.locator(".cell canvas").nth(number).bounding_box()

    def to(x, y):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    for start, end in [
        ((0.2, 0.2 + 0.02 * number), (0.8, 0.8)),
        ((0.8, 0.2), (0.2, 0.8)),
    ]:
        to(*start)
        page.mouse.down()
        to(0.5, 0.5)
        to(*end)
        page.mouse.up()


def shown(page, selector="#gallery img"):
    return page.locator(selector).evaluate_all("found => found.map(x => x.src)")


def download(page, selector):
    with page.expect_download() as waiting:
        page.click(selector)
    return open(waiting.value.path(), "rb").read()


def test_four_sketches_become_images_to_take_away(page):
    page.click("#clear")
    page.keyboard.press("Control+z")  # all of it
    expect(page.locator(".seen[src]")).to_have_count(4)
    page.click("#clear")
    page.evaluate(
        """() => {
            delete document.getElementById('gallery').dataset.finished;
            window.steps = [];
            new MutationObserver(() => {
                const found = [...document.querySelectorAll('#gallery img')];
                window.steps.push(found.map(x => x.src).join());
            }).observe(document.getElementById('gallery'), {childList: true});
        }"""
    )
    for number in range(4):
        draw(page, number)
    # All cells are filled: it adapts by itself, and samples change from step to step.
    page.wait_for_selector("#gallery[data-finished]")
    steps = page.evaluate("window.steps")
    assert len(set(steps)) == len(steps) == 3  # two inner steps, and the grid
    assert "step 2 of 2" in page.inner_text("#status")
    alt = page.locator("#gallery img").first.get_attribute("alt")
    assert "similarity to drawing" in alt

    before = shown(page)
    assert len(before) == 24
    page.locator(".shot .pin").nth(1).click()
    page.locator(".shot .pin").nth(4).click()
    page.click("#reroll")
    first = page.locator("#gallery img").first
    expect(first).not_to_have_attribute("src", before[0])
    after = shown(page)
    assert (after[1], after[4]) == (before[1], before[4])
    page.click("#interpolate")
    first = page.locator("#gallery img").first
    expect(first).not_to_have_attribute("src", after[0])

    archive = zipfile.ZipFile(io.BytesIO(download(page, "[data-format=zip]")))
    pictures = [name for name in archive.namelist() if name.endswith("0.png")]
    assert Image.open(archive.open(pictures[0])).size == (512, 512)
    assert "02.png" not in archive.namelist()  # the two pins
    svg = download(page, "[data-format=svg]").decode()
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_ten_rounds_of_the_judge(page, tmp_path):
    page.click("#tab-judge")
    page.click("#judge-start")
    page.wait_for_selector("#judge-image")
    page.evaluate(  # faster than anybody sees: the second one is of no image yet
        """() => ['r', 'g'].forEach(key =>
            document.dispatchEvent(new KeyboardEvent('keydown', {key})))"""
    )
    expect(page.locator("#judge-status")).to_contain_text("2 of")
    page.click("#judge-start")
    expect(page.locator("#judge-status")).to_have_text(re.compile("^1 of"))
    for number in range(10):
        page.keyboard.press("r" if number % 2 else "g")
        told = f"of {number + 1} right"
        expect(page.locator("#judge-score")).to_contain_text(told)
    assert "95 % interval" in page.inner_text("#judge-score")
    handed = zipfile.ZipFile(io.BytesIO(download(page, "#judge-file")))
    handed.extractall(tmp_path)
    assert human.score(tmp_path / "answers.csv")["answered"] == 10


def test_a_click_draws_a_dot_and_undo_never_fails(page):
    page.click("#clear")
    page.locator(".cell canvas").first.click()
    expect(page.locator(".seen[src]")).to_have_count(1)
    for _ in range(30):  # more than there is
        page.keyboard.press("Control+z")
    expect(page.locator(".seen[src]")).to_have_count(0)  # not even the example


def test_a_job_can_be_cancelled(page):
    page.evaluate("document.getElementById('steps').max = 100")  # time to cancel
    page.locator("#steps").fill("100")
    page.wait_for_selector("#cancel:enabled")
    page.click("#cancel")
    expect(page.locator("#status")).to_have_text("cancelled")
    expect(page.locator(".shot .pin")).to_have_count(24)  # as it was before


def wait_until(page, is_so):
    """Polls, because the page's policy forbids Playwright's `wait_for_function`."""
    for _ in range(1500):
        if is_so():
            return
        page.wait_for_timeout(20)
    raise TimeoutError("the page did not change as expected")


def changed(page, act):
    """Acts, waits until the images are others, returns them."""
    before = shown(page)
    act()
    wait_until(page, lambda: len(before) == len(shown(page)) and shown(page) != before)
    return shown(page)


def batches(page):
    return page.locator("#batches .batch")


def test_steps_continue_and_go_back_to_the_same_images(page):
    two = shown(page)
    requests = []
    page.on("request", lambda request: requests.append(request))
    steps = page.locator("#steps")
    four = changed(page, lambda: steps.fill("4"))
    expect(page.locator("#status")).to_have_text("step 4 of 4")
    (sent,) = [x.post_data_json for x in requests if x.url.endswith("/api/adapt")]
    assert sent["continues"] and sent["inner_steps"] == 4
    assert len(four) == 24  # no samples of fewer images in between
    steps.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wait_until(page, lambda: shown(page) == two)
    expect(page.locator("#status")).to_have_text("step 2 of 2")


def test_undo_returns_to_the_images_before(page):
    first = shown(page)
    expect(page.locator("#back")).to_be_disabled()
    second = changed(page, lambda: page.click("#reroll"))
    expect(batches(page)).to_have_count(2)
    changed(page, lambda: page.locator(".like").nth(3).click())
    expect(batches(page)).to_have_count(3)
    assert changed(page, lambda: page.click("#back")) == second
    expect(page.locator(".shot .pin[aria-pressed=true]")).to_have_count(0)
    page.focus("#back")
    assert changed(page, lambda: page.keyboard.press("Control+z")) == first
    expect(page.locator("#back")).to_be_disabled()
    # A change after an undo replaces nothing: all batches stay in the list.
    changed(page, lambda: page.click("#reroll"))
    expect(batches(page)).to_have_count(4)
    assert changed(page, lambda: page.click("#back")) == first


def test_the_history_survives_a_reload(page):
    for number in range(4):
        draw(page, number)
    page.wait_for_selector("#batches .batch:nth-child(2)")
    drawings = shown(page, ".seen")
    page.locator(".shot .pin").nth(2).click()
    after = changed(page, lambda: page.click("#reroll"))
    expect(batches(page)).to_have_count(3)
    page.reload()
    expect(page.locator(".shot .pin")).to_have_count(24)
    assert (shown(page, ".seen"), shown(page)) == (drawings, after)
    pinned = page.locator(".shot .pin[aria-pressed=true] img")
    assert shown(page, ".shot .pin[aria-pressed=true] img") == [after[2]]
    expect(pinned).to_have_count(1)
    # The first batch was of the example: its drawings come back as well.
    batches(page).last.focus()
    changed(page, lambda: page.keyboard.press("Enter"))
    assert shown(page, ".seen") != drawings
    page.click("#forget")
    expect(page.locator("#history")).to_be_hidden()


@pytest.fixture
def twins(browser, workdir):
    """A page with two models, which have the same weights."""
    shelf = models.Shelf({"one": workdir, "two": workdir})
    with serve(server.make_app(shelf)) as address:
        with visit(browser, address) as page:
            yield page


def retrain(page, model):
    """Makes the stored batches of a model those of another snapshot."""
    page.evaluate(
        """model => {
            const key = "figr-studio-history";
            const entries = JSON.parse(localStorage.getItem(key));
            for (const { batch } of entries)
                if (batch.model === model) batch.snapshot = 1;
            localStorage.setItem(key, JSON.stringify(entries));
        }""",
        model,
    )
    page.reload()
    page.wait_for_selector(".shot .pin")


def test_a_batch_of_another_snapshot_is_not_shown(twins):
    page, problem = twins, twins.locator("#problem")
    page.select_option("#model", "two")
    expect(batches(page)).to_have_count(2)
    page.click("#reroll")
    expect(batches(page)).to_have_count(3)
    after = shown(page)
    retrain(page, "one")
    assert shown(page) == after
    batches(page).last.click()
    expect(problem).to_have_text(
        "this batch was made with another snapshot of one and cannot be shown"
    )
    expect(page.locator("#model")).to_have_value("one")
    expect(page.locator("#example-name")).to_contain_text("Example")
    expect(page.locator(".shot .pin")).to_have_count(24)
    batches(page).nth(1).click()  # of the other model, which is as it was
    expect(page.locator("#model")).to_have_value("two")
    expect(problem).to_be_hidden()
    wait_until(page, lambda: shown(page) == after)
    page.click("#forget")
    page.click("#reroll")
    expect(batches(page)).to_have_count(1)
    retrain(page, "two")
    expect(page.locator("#model")).to_have_value("one")
    expect(problem).to_be_hidden()


def test_images_of_the_model_before_are_not_recorded(twins):
    page, held = twins, []
    page.route("**/api/jobs/*/latents", lambda route: held.append(route))
    page.route("**/api/adapt", lambda route: held.append(route))
    page.select_option("#count", "32")
    wait_until(page, lambda: held)
    page.select_option("#model", "two")
    wait_until(page, lambda: len(held) == 2)
    held[0].continue_()
    page.unroute("**/api/jobs/*/latents")
    page.wait_for_timeout(300)
    expect(batches(page)).to_have_count(1)
    held[1].continue_()
    expect(batches(page)).to_have_count(2)


def test_variation_keeps_the_preview(browser, address):
    page, held = browser.new_page(), []
    page.route("**/api/jobs/*/events", lambda route: held.append(route))
    page.goto(address)
    wait_until(page, lambda: held)
    page.evaluate(
        """async () => {
            const preview = document.createElement("div");
            preview.className = "shot preview";
            document.getElementById("gallery").replaceChildren(preview);
        }"""
    )
    page.locator("#variation").fill("1.2")
    page.wait_for_timeout(100)
    expect(page.locator(".preview")).to_have_count(1)
    page.click("#cancel")
    expect(page.locator(".preview")).to_have_count(0)
    page.close()


def test_controls_that_a_model_lacks_are_hidden(page, steered):
    expect(page.locator("#likes")).to_be_hidden()
    expect(page.locator("#best")).to_be_hidden()
    expect(steered.locator("#likes input")).to_have_count(4)
    expect(steered.locator("#best-label")).to_have_text("Pick the best of 3")


def test_sliders_move_the_unpinned_images_towards_a_drawing(steered):
    page, drawing = steered, 2
    steered.locator(".shot .pin").nth(5).click()
    before = shown(page)
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json))
    slider = page.locator("#likes input").nth(drawing)
    slider.focus()
    page.keyboard.press("ArrowRight")
    after = changed(page, lambda: page.keyboard.press("End"))
    wait_until(page, lambda: asked[-1]["latents"] != asked[0]["latents"])
    assert [i for i in range(24) if after[i] == before[i]] == [5]
    first, last = (
        fusion.mixing_logits(np.array(asked[i]["latents"], np.float32), 4)
        for i in (0, -1)
    )
    moved = np.argmax(last - first, 1)
    assert set(np.delete(moved, 5)) == {drawing}
    expect(batches(page)).to_have_count(2)
    expect(slider).to_be_focused()
    # Unpinned, an image follows the sliders.
    page.locator(".shot .pin").nth(5).click()
    expect(page.locator("#gallery img").nth(5)).not_to_have_attribute("src", before[5])
    page.locator(".shot .pin").nth(5).press("Control+z")
    wait_until(page, lambda: shown(page) == before)
    expect(slider).to_have_value("0")


def test_the_best_of_several_candidates_is_a_switch(steered):
    best = shown(steered)
    plain = changed(steered, lambda: steered.uncheck("#best"))
    same = np.mean([x == y for x, y in zip(best, plain, strict=True)])
    assert 0 < same < 1  # the first of three candidates is sometimes the best one
    assert changed(steered, lambda: steered.check("#best")) == best


def test_a_blend_is_a_row_between_two_pinned_images(page):
    page.click("#interpolate")
    expect(page.locator("#problem")).to_contain_text("pin exactly two images")
    before = shown(page)
    for number in (3, 1):
        page.locator(".shot .pin").nth(number).click()
    after = changed(page, lambda: page.click("#interpolate"))
    row = shown(page, ".blend img")
    assert len(row) == 8 and len(after) == 24
    assert (row[0], row[-1]) == (before[1], before[3])
    assert after[8:] == [x for i, x in enumerate(before) if i not in (1, 3)][:16]


def test_files_of_several_kinds_and_a_broken_one(page, tmp_path):
    page.click("#clear")
    image = Image.new("RGB", (60, 40), "white")
    image.paste((0, 0, 0), (20, 10, 40, 30))
    image.save(tmp_path / "a.webp")
    image.save(tmp_path / "b.jpg")
    (tmp_path / "c.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
        '<circle cx="5" cy="5" r="3" fill="white"/></svg>'
    )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG and no more")
    files = [tmp_path / name for name in ("a.webp", "b.jpg", "c.svg", "broken.png")]
    page.locator(".cell input").first.set_input_files(files)
    expect(page.locator(".seen[src]")).to_have_count(3)
    expect(page.locator("#problem")).to_contain_text("broken.png: not an image")
    # Dropped beside the cells: into the first empty one.
    kept = page.evaluate(
        """async () => {
            const canvas = document.querySelector('.cell canvas');
            const blob = await new Promise(done => canvas.toBlob(done));
            const data = new DataTransfer();
            data.items.add(new File([blob], 'd.png', {type: 'image/png'}));
            const options = {dataTransfer: data, bubbles: true, cancelable: true};
            return !document.body.dispatchEvent(new DragEvent('drop', options));
        }"""
    )
    assert kept  # on the page
    expect(page.locator(".seen[src]")).to_have_count(4)


def test_a_small_thin_drawing_on_a_large_page_is_seen(page, tmp_path):
    page.click("#clear")
    scan = Image.new("L", (2400, 3400), 250)
    ImageDraw.Draw(scan).rectangle((1500, 300, 1700, 500), outline=60, width=3)
    scan.save(tmp_path / "scan.png")
    page.locator(".cell input").first.set_input_files(tmp_path / "scan.png")
    seen = page.locator(".seen[src]")
    expect(seen).to_have_count(1)
    data = base64.b64decode(seen.get_attribute("src").partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    rows, columns = np.nonzero(pixels < 100)
    assert np.ptp(rows) >= 5 and np.ptp(columns) >= 5  # of 8: it fills the square


@pytest.mark.parametrize("studio", ["address", "fused"])
def test_it_fits_a_phone_and_the_keyboard(browser, studio, request):
    address = request.getfixturevalue(studio)
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(address)
    page.wait_for_selector(".shot .pin")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".shot .pin").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".shot .pin").first.get_attribute("aria-pressed") == "true"
    page.focus("#tab-about")
    page.keyboard.press("Enter")
    assert "glyphs, 8x8" in page.inner_text("#card")
    page.close()
