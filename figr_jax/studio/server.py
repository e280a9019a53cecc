"""The studio's web server: a JSON API, and the page that uses it."""

import asyncio
import copy
import io
import json
import pathlib
import zipfile
from typing import Annotated, Literal

import fastapi
import jax
import numpy as np
from fastapi import exceptions, responses, staticfiles
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

import figr_jax
from figr_jax import recipe
from figr_jax.data import images
from figr_jax.errors import BadInput, FailedWork
from figr_jax.evaluation import human
from figr_jax.studio import exports, guard, jobs, likeness

MAX_PIXELS = 2**22  # of an image
MAX_SUPPORT = 16
MAX_STEPS = 100
MAX_IMAGES = 64  # in one answer
MAX_LATENT = 100.0  # in size, of each number
PREVIEW = 16  # images after each inner step
JUDGED_CLASSES = 10
_EACH = 2  # real images of a judged class, and generated ones
_PAGE = pathlib.Path(__file__).parent / "page"
_POLL = 0.02  # seconds between looks at a job's events
File = Annotated[
    str, Field(max_length=guard.MAX_BODY, description="An image, in base64.")
]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Drawings(BaseModel):
    """Images of any size, to be seen as a model sees them."""

    model: str
    images: Annotated[list[File], Field(min_length=1, max_length=MAX_SUPPORT)]


class Adaptation(BaseModel):
    """What to adapt to. An image of the model's own size is taken as it is."""

    model: str
    support: Annotated[list[File], Field(min_length=1, max_length=MAX_SUPPORT)]
    seed: Seed = 0
    inner_steps: Annotated[int | None, Field(ge=0, le=MAX_STEPS)] = None


class Latents(BaseModel):
    """Images to draw, by their latents: rows of as many numbers as the model takes."""

    latents: Annotated[
        list[list[Annotated[float, Field(ge=-MAX_LATENT, le=MAX_LATENT)]]],
        Field(min_length=1, max_length=MAX_IMAGES),
    ]


class Export(Latents):
    """Images to take away."""

    format: Literal["png", "svg", "sheet", "zip"]
    size: Literal[exports.SIZES] = 512
    transparent: bool = False


class Judging(BaseModel):
    """A game of real or generated."""

    model: str
    seed: Seed = 0


class Answer(BaseModel):
    """What a judge says of one image."""

    image: str
    answer: Literal[human.ANSWERS]


class _Adapted:
    """What an adaptation leaves: a model with its own fast parameters."""

    def __init__(self, model, support, seed, inner_steps):
        self.generator = copy.copy(model.generator)
        self.support, self.seed, self.inner_steps = support, seed, inner_steps


class _Judged:
    """What a game leaves: the images, what they are, and the answers so far."""

    def __init__(self, shown, key):
        self.shown, self.key, self.answers = shown, key, {}


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
        found.append(image)
    return found


def _find(shelf, name):
    try:
        return shelf.get(name)
    except KeyError as error:
        known = ", ".join(shelf.names)
        raise _bad(404, f"no model {name!r}; there are {known}") from error
    except (BadInput, FailedWork) as error:
        raise _bad(503, str(error)) from error


def _adapt(adapted):
    """The work of an adaptation, told step by step."""
    generator, steps = adapted.generator, adapted.inner_steps
    latents = generator.latents(PREVIEW, adapted.seed)

    def work(job):
        yield {"type": "started"}
        traces = generator.adapt_by_step(adapted.support, adapted.seed, steps)
        for step, trace in enumerate(traces, 1):
            job.result = adapted
            yield {
                "type": "step",
                "step": step,
                "steps": steps,
                "critic_loss": float(trace.critic_loss),
                "generator_loss": float(trace.generator_loss),
                "images": [recipe.encode(image) for image in generator.draw(latents)],
            }
        job.result = adapted

    return work


def _judge(model, seed):
    """The work of a game: adapts to each class, draws, shuffles."""

    def work(job):
        yield {"type": "started"}
        generator, shots = (
            copy.copy(model.generator),
            model.generator.config.inner.shots,
        )
        least = shots + _EACH
        names = [name for name, x in model.examples.items() if len(x) >= least]
        if not names:
            raise FailedWork("this model carries no real images to judge beside")
        draw = np.random.default_rng(seed)
        names = sorted(draw.permutation(names)[:JUDGED_CLASSES])
        real, generated = [], []
        for number, name in enumerate(names, 1):
            drawn = draw.permutation(model.examples[name])
            generator.adapt(drawn[:shots], seed)
            generated.append(generator.generate(_EACH, seed))
            real.append(drawn[shots:least])
            yield {"type": "step", "step": number, "steps": len(names)}
        shown, key = human.shuffle(real, generated, names, seed)
        job.result = _Judged(shown, key)
        yield {
            "type": "images",
            "images": {name: recipe.encode(image) for name, image in shown.items()},
        }

    return work


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
        title="figr studio", version=figr_jax.__version__, docs_url=None, redoc_url=None
    )
    queue = jobs.Queue()

    def find_job(id, kind):
        job = queue.get(id)
        if job is None:
            raise _bad(404, "no such job: it is too old, or never was")
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
        generator = job.result.generator
        width = generator.networks.latent
        if any(len(row) != width for row in latents):
            raise _bad(400, f"latents: each row must have {width} numbers")
        return generator.draw(np.array(latents, np.float32))

    @app.get("/api/models")
    def list_models() -> list[str]:
        """Names of the models, the first one the default."""
        return shelf.names

    @app.get("/api/models/{name}")
    def describe_model(name: str) -> dict:
        """A model's card: data set, licence, size, figures of its last report."""
        return _find(shelf, name).card()

    @app.get("/api/models/{name}/examples/{number}")
    def show_example(name: str, number: int) -> dict:
        """A support of a held-out class; the number may be any and wraps around."""
        model = _find(shelf, name)
        if not model.examples:
            raise _bad(404, "this model carries no examples; draw your own")
        label = list(model.examples)[number % len(model.examples)]
        shots = model.generator.config.inner.shots
        shown = model.examples[label][:shots]
        return {"class": label, "images": [recipe.encode(image) for image in shown]}

    @app.post("/api/see")
    def see(asked: Drawings) -> dict:
        """What the model sees of drawings: centred, scaled, of its polarity."""
        model = _find(shelf, asked.model)
        drawings = _decode(asked.images, model.generator.networks.channels)
        seen, swapped = model.see(drawings)
        return {
            "images": [recipe.encode(image) for image in seen],
            "swapped": swapped.tolist(),
        }

    @app.post("/api/adapt", status_code=202)
    def adapt(asked: Adaptation) -> dict:
        """Lines up an adaptation; its events carry samples after every inner step."""
        model = _find(shelf, asked.model)
        networks = model.generator.networks
        size = networks.image_size, networks.image_size, networks.channels
        support = [
            image if image.shape == size else model.see([image])[0][0]
            for image in _decode(asked.support, networks.channels)
        ]
        steps = asked.inner_steps
        steps = model.generator.config.inner.steps if steps is None else steps
        adapted = _Adapted(model, np.stack(support), asked.seed, steps)
        size = sum(x.nbytes for x in jax.tree.leaves(adapted.generator.slow.generator))
        return line_up(_adapt(adapted), size)

    @app.post("/api/judge", status_code=202)
    def judge(asked: Judging) -> dict:
        """Lines up a game of real or generated; its last events carry the images."""
        return line_up(_judge(_find(shelf, asked.model), asked.seed))

    @app.get("/api/jobs/{id}/events")
    async def tell(id: str) -> responses.StreamingResponse:
        """Server-sent events of a job: waiting, started, step ..., done."""
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
    def cancel(id: str) -> dict:
        """Stops a job at its next step."""
        find_job(id, None).cancel()
        return {"cancelled": True}

    @app.post("/api/jobs/{id}/images")
    def draw_images(id: str, asked: Latents) -> dict:
        """Draws the images of latents, and says how near each is to which drawing."""
        job = find_job(id, _Adapted)
        drawn = draw(job, asked.latents)
        near = likeness.likeness(drawn, job.result.support)
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

    @app.post("/api/jobs/{id}/export")
    def export(id: str, asked: Export) -> responses.Response:
        """The images of latents as a file: PNG and SVG of the first one alone."""
        job = find_job(id, _Adapted)
        drawn = draw(job, asked.latents)
        if asked.format == "png":
            data = exports.to_png(drawn[0], asked.size, asked.transparent)
        elif asked.format == "svg":
            data = exports.to_svg(drawn[0], asked.transparent)
        elif asked.format == "sheet":
            data = exports.to_sheet(drawn, min(asked.size, exports.SHEET_SIZE))
        else:
            made = job.result
            made = recipe.Recipe(
                made.support,
                made.seed,
                made.inner_steps,
                np.array(asked.latents, np.float32),
            )
            what = recipe.write(job.result.generator, made)
            data = exports.to_zip(drawn, asked.size, asked.transparent, what)
        kind, name = _FILES[asked.format]
        return _attach(data, kind, name)

    @app.post("/api/jobs/{id}/answers")
    def take_answer(id: str, asked: Answer) -> dict:
        """Takes one answer of a judge, once, and says how they stand."""
        game = find_job(id, _Judged).result
        if asked.image not in game.key:
            raise _bad(404, f"no image {asked.image!r} in this game")
        game.answers.setdefault(asked.image, asked.answer)
        truth = game.key[asked.image]
        return {"truth": truth, "score": human.tally(game.key, game.answers)}

    @app.get("/api/jobs/{id}/answers.zip")
    def hand_answers(id: str) -> responses.Response:
        """The answers and the key, for `figr_jax.evaluate --judge_answers`."""
        game = find_job(id, _Judged).result
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            form = human.write_form(game.key, game.answers)
            archive.writestr("answers.csv", form)
            archive.writestr("key.json", json.dumps(game.key))
        return _attach(file.getvalue(), "application/zip", "answers.zip")

    @app.exception_handler(HTTPException)
    async def tell_refusal(_, error):
        return guard.refuse(error.status_code, error.detail)

    @app.exception_handler(exceptions.RequestValidationError)
    async def tell_invalid(_, error):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:4])
        return guard.refuse(400, f"{where or 'the request'}: {first['msg']}")

    app.mount("/", staticfiles.StaticFiles(directory=_PAGE, html=True))
    return guard.Guard(app, hosts, token)


_FILES = {
    "png": ("image/png", "image.png"),
    "svg": ("image/svg+xml", "image.svg"),
    "sheet": ("image/png", "sheet.png"),
    "zip": ("application/zip", "figr.zip"),
}


def _attach(data, kind, name):
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return responses.Response(data, media_type=kind, headers=headers)


def _event(event):
    return f"data: {json.dumps(event)}\n\n"
