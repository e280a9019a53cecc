"""The studio's web server: a JSON API, and the page that uses it."""

import asyncio
import io
import json
import pathlib
import zipfile

import fastapi
import jax
import numpy as np
from fastapi import exceptions, responses, staticfiles
from starlette.exceptions import HTTPException

import figr_jax
from figr_jax import build, recipe
from figr_jax.data import images
from figr_jax.errors import BadInput, FailedWork
from figr_jax.evaluation import human
from figr_jax.studio import exports, guard, jobs, likeness, schema, works

MAX_PIXELS = 2**22  # of an image
_MAX_SIDE = 2**10  # pixels: what a larger image is made smaller to at once
_PAGE = pathlib.Path(__file__).parent / "page"
_POLL = 0.02  # seconds between looks at a job's events
_FILES = {
    "png": ("image/png", "image.png"),
    "svg": ("image/svg+xml", "image.svg"),
    "sheet": ("image/png", "sheet.png"),
    "zip": ("application/zip", "figr.zip"),
}
_PLAIN = {  # what the framework says, said to somebody
    "Not Found": "there is nothing at this address; see /openapi.json",
    "Method Not Allowed": "this address wants another method; see /openapi.json",
}
_ABOUT = """Few images of a class in, new images of it out.

1. `POST /api/see` shows images of any size as a model sees them.
2. `POST /api/adapt` takes them as a support and gives a job.
3. `GET /api/jobs/{id}/events` tells how it goes, with samples after each inner step.
4. `POST /api/jobs/{id}/images` draws an image for each latent: a row of as many
   standard normal numbers as `latent` of `GET /api/models/{name}` says.
5. `POST /api/jobs/{id}/export` makes files of them.

Every failure is a JSON object with one sentence as `error`.
"""


def _bad(status, message):
    return HTTPException(status, message)


def _decode(texts, channels):
    found = []
    for number, text in enumerate(texts, 1):
        try:
            image = recipe.decode(text, channels, MAX_PIXELS)
        except images.Unreadable as error:
            raise _bad(
                400,
                f"image {number} cannot be read ({error}): wanted is a PNG, JPEG, WebP "
                f"or GIF of at most {MAX_PIXELS:,} pixels",
            ) from error
        found.append(images.shrink(image, _MAX_SIDE))
    return found


def _find(shelf, name):
    if name not in shelf.names:
        raise _bad(404, f"no model {name!r}; there are {', '.join(shelf.names)}")
    try:
        return shelf.get(name)
    except (BadInput, FailedWork) as error:
        raise _bad(503, str(error)) from error


def make_app(shelf, hosts=guard.LOCAL, token=None):
    """The ASGI application.

    Args:
      shelf: `models.Shelf`.
      hosts: names that a request's Host may have, without the port.
      token: that a request must carry, as a bearer or a cookie; None for none.

    Returns:
      A `fastapi.FastAPI`.
    """
    app = fastapi.FastAPI(
        title="figr studio",
        version=figr_jax.__version__,
        description=_ABOUT,
        docs_url=None,  # these pages would need another host
        redoc_url=None,
        responses={"4XX": {"model": schema.Refusal}, "503": {"model": schema.Refusal}},
    )
    queue = jobs.Queue()

    def find_job(id, kind):
        job = queue.get(id)
        if job is None:
            raise _bad(404, "no such job: it is too old, or never was; adapt again")
        if kind and not isinstance(job.result, kind):
            raise _bad(409, "this job has nothing like that, or not yet")
        return job

    def line_up(work, size=0):
        try:
            job = queue.add(work, size)
        except jobs.Full as error:
            raise _bad(503, "too many are waiting; try again in a minute") from error
        return {"job": job.id, "ahead": queue.ahead(job)}

    def draw(job, latents):
        adapted = job.result.adapted
        width = adapted.networks.latent
        if any(len(row) != width for row in latents):
            raise _bad(400, f"latents: each row must have {width} numbers")
        return adapted.draw(np.array(latents, np.float32))

    @app.get("/api/models")
    def list_models() -> list[str]:
        """Names of the models, the first one the default."""
        return shelf.names

    @app.get("/api/models/{name}")
    def describe_model(name: str) -> schema.Card:
        """A model's card: data set, licence, size, figures of its last report."""
        return _find(shelf, name).card()

    @app.get("/api/models/{name}/examples/{number}")
    def show_example(name: str, number: int) -> schema.Example:
        """A support of a held-out class; the number may be any and wraps around."""
        model = _find(shelf, name)
        if not model.examples:
            raise _bad(404, "this model carries no examples; draw your own")
        label = list(model.examples)[number % len(model.examples)]
        shots = model.generator.config.inner.shots
        shown = model.examples[label][:shots]
        return {"class": label, "images": [recipe.encode(image) for image in shown]}

    @app.post("/api/see")
    def see(asked: schema.Drawings) -> schema.Seen:
        """What the model sees of drawings: centred, scaled, of its polarity."""
        model = _find(shelf, asked.model)
        drawings = _decode(asked.images, model.generator.networks.channels)
        seen, swapped = model.see(drawings)
        return {
            "images": [recipe.encode(image) for image in seen],
            "swapped": swapped.tolist(),
        }

    @app.post("/api/adapt", status_code=202)
    def adapt(asked: schema.Adaptation) -> schema.Queued:
        """Lines up an adaptation; its events carry samples after every inner step."""
        model = _find(shelf, asked.model)
        networks = model.generator.networks
        size = networks.image_size, networks.image_size, networks.channels
        support = [
            image if image.shape == size else model.see([image])[0][0]
            for image in _decode(asked.support, networks.channels)
        ]
        steps = asked.inner_steps
        if steps is None:
            steps = build.sampling(model.generator.config).steps
        size = sum(x.nbytes for x in jax.tree.leaves(model.generator.slow.generator))
        work = works.adapt(model.generator, np.stack(support), asked.seed, steps)
        return line_up(work, size)

    @app.post("/api/judge", status_code=202)
    def judge(asked: schema.Judging) -> schema.Queued:
        """Lines up a game of real or generated; an event carries its images, by name.

        That is the last one but `done`, of type `images`.
        """
        model = _find(shelf, asked.model)
        return line_up(works.judge(model, asked.seed, asked.sheets))

    @app.get(
        "/api/jobs/{id}/events",
        response_class=responses.StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def tell(id: str):
        """Server-sent events of a job, from its first one on.

        Each is a JSON object with a `type`: `waiting` (`ahead`: jobs that run before),
        `started`, `step` (`step` of `steps`; in an adaptation also `critic_loss`,
        `generator_loss` and `images`, PNG files in base64), and as the last one `done`,
        `failed` (`error`: a sentence) or `cancelled`.
        """
        job = find_job(id, None)

        async def stream():
            told, ahead = 0, 0
            while True:
                if not job.events and queue.ahead(job) != ahead:
                    ahead = queue.ahead(job)
                    yield _event({"type": "waiting", "ahead": ahead})
                for event in job.events[told:]:
                    told += 1
                    yield _event(event)
                    if event["type"] in jobs.LAST:
                        return
                await asyncio.sleep(_POLL)

        return responses.StreamingResponse(stream(), media_type="text/event-stream")

    @app.delete("/api/jobs/{id}")
    def cancel(id: str) -> schema.Cancelled:
        """Stops a job: at its next step, or at once if it waits."""
        queue.cancel(find_job(id, None))
        return {"cancelled": True}

    @app.post("/api/jobs/{id}/images")
    def draw_images(id: str, asked: schema.Latents) -> schema.Drawn:
        """Draws the images of latents, and says how near each is to which drawing."""
        job = find_job(id, works.Adaptation)
        drawn = draw(job, asked.latents)
        near = likeness.likeness(drawn, job.result.adapted.support)
        return {
            "images": [
                {
                    "image": recipe.encode(image),
                    "nearest": int(row.argmax()),
                    "likeness": round(float(row.max()), 3),
                    "copy": bool(row.max() >= likeness.COPY),
                }
                for image, row in zip(drawn, near, strict=True)
            ]
        }

    @app.post(
        "/api/jobs/{id}/export",
        response_class=responses.Response,
        responses={200: {"content": {kind: {} for kind, _ in _FILES.values()}}},
    )
    def export(id: str, asked: schema.Export):
        """The images of latents as a file: PNG and SVG of the first one alone.

        The zip has each as PNG and SVG, the sheet, and a `recipe.json` that
        `figr_jax.sample --recipe` draws the same images from.
        """
        job = find_job(id, works.Adaptation)
        drawn = draw(job, asked.latents)
        if asked.format == "png":
            data = exports.to_png(drawn[0], asked.size, asked.transparent)
        elif asked.format == "svg":
            data = exports.to_svg(drawn[0], asked.transparent)
        elif asked.format == "sheet":
            data = exports.to_sheet(drawn, min(asked.size, exports.SHEET_SIZE))
        else:
            made = job.result.write_recipe(np.array(asked.latents, np.float32))
            data = exports.to_zip(drawn, asked.size, asked.transparent, made)
        kind, name = _FILES[asked.format]
        return _attach(data, kind, name)

    @app.post("/api/jobs/{id}/answers")
    def take_answer(id: str, asked: schema.Answer) -> schema.Told:
        """Takes one answer of a judge, once, and says how they stand."""
        game = find_job(id, works.Judged).result
        if asked.image not in game.key:
            raise _bad(404, f"no image {asked.image!r} in this game")
        game.answers.setdefault(asked.image, asked.answer)
        truth = game.key[asked.image]
        return {"truth": truth, "score": human.tally(game.key, dict(game.answers))}

    @app.get(
        "/api/jobs/{id}/answers.zip",
        response_class=responses.Response,
        responses={200: {"content": {"application/zip": {}}}},
    )
    def hand_answers(id: str):
        """The answers and the key, for `figr_jax.evaluate --judge_answers`."""
        game = find_job(id, works.Judged).result
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            form = human.write_form(game.key, game.answers)
            archive.writestr("answers.csv", form)
            archive.writestr("key.json", json.dumps(game.key))
        return _attach(file.getvalue(), "application/zip", "answers.zip")

    @app.exception_handler(HTTPException)
    async def tell_refusal(_, error):
        message = _PLAIN.get(error.detail, error.detail)
        return guard.refuse(error.status_code, message)

    @app.exception_handler(exceptions.RequestValidationError)
    async def tell_invalid(_, error):
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return guard.refuse(400, "the request is no JSON that can be read")
        where = ".".join(str(part) for part in first["loc"][1:4])
        return guard.refuse(400, f"{where or 'the request'}: {first['msg']}")

    app.mount("/", staticfiles.StaticFiles(directory=_PAGE, html=True))
    return guard.Guard(app, hosts, token)


def _attach(data, kind, name):
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return responses.Response(data, media_type=kind, headers=headers)


def _event(event):
    return f"data: {json.dumps(event)}\n\n"
