"""Routes for adapting to a support, generating images and exporting them."""

from typing import Annotated

import fastapi
import numpy as np
from fastapi import responses
from starlette.exceptions import HTTPException

from figr_jax import build, recipe
from figr_jax.adapted import draw_candidates
from figr_jax.data import inputs
from figr_jax.studio import exports, schema, similarity, works
from figr_jax.studio.routers import common

router = fastapi.APIRouter(prefix="/api")

Adaptation = Annotated[works.Adaptation, common.result_of_type(works.Adaptation)]

_FILES = {  # media type and name
    "png": ("image/png", "image.png"),
    "svg": ("image/svg+xml", "image.svg"),
    "sheet": ("image/png", "sheet.png"),
    "zip": ("application/zip", "figr.zip"),
}


@router.post("/adapt", status_code=202)
def adapt(
    asked: schema.Adaptation, shelf: common.Shelf, queue: common.Queue
) -> schema.Queued:
    """Queues an adaptation; its events have samples after every inner step."""
    model = common.find_model(asked.model, shelf)
    generator, networks = model.generator, model.generator.networks
    originals, coloured = common.decode(asked.support, networks.channels)
    prepared, hints = model.prepare(originals)
    if prepared.blank.all():
        raise HTTPException(400, hints[0])
    if coloured:
        hints.append(inputs.describe_grey(coloured, len(originals)))
    steps = asked.inner_steps
    if steps is None:
        steps = build.sampling(generator.config).inner.steps
    job = queue.get(asked.continues)
    earlier = job.result if job and isinstance(job.result, works.Adaptation) else None
    work = works.adapt(generator, prepared.support, asked.seed, steps, earlier)
    return common.add_job(queue, work) | {"hints": hints}


@router.post("/jobs/{id}/latents")
def draw_latents(asked: schema.LatentsRequest, adaptation: Adaptation) -> schema.Rows:
    """Draws latents; row i depends on the seed, `best` and i alone.

    With `best`, each row is the one of several candidates that the adapted critic
    values most; the model's card has their number. Without, it is the first candidate.
    """
    adapted = adaptation.adapted
    if asked.best:
        rows = adapted.best_latents(asked.count, asked.seed)
    else:
        size = adapted.networks.latent
        rows = draw_candidates(asked.count, 1, size, asked.seed)[:, 0]
    return {"latents": rows.tolist()}


@router.post("/jobs/{id}/images")
def draw_images(asked: schema.Latents, adaptation: Adaptation) -> schema.Drawn:
    """Generates an image per latent, with its similarity to the nearest drawing."""
    adapted = adaptation.adapted
    drawn = _draw(adapted, asked.latents)
    near = similarity.similarity(drawn, adapted.support)
    return {
        "images": [
            {
                "image": recipe.encode(image),
                "nearest": int(row.argmax()),
                "similarity": round(float(row.max()), 3),
                "copy": bool(row.max() >= similarity.COPY),
            }
            for image, row in zip(drawn, near, strict=True)
        ]
    }


@router.post(
    "/jobs/{id}/export",
    response_class=responses.Response,
    responses={200: {"content": {kind: {} for kind, _ in _FILES.values()}}},
)
def export(asked: schema.Export, adaptation: Adaptation):
    """Returns the images of latents as a file; PNG and SVG use the first latent only.

    The zip has each image as PNG and SVG, the contact sheet, and a `recipe.json` from
    which `figr_jax.sample --recipe` reproduces the images.
    """
    drawn = _draw(adaptation.adapted, asked.latents)
    style, transparent = adaptation.style, asked.transparent
    if asked.format == "png":
        data = exports.to_png(drawn[0], asked.size, style, transparent)
    elif asked.format == "svg":
        data = exports.to_svg(drawn[0], style, transparent)
    elif asked.format == "sheet":
        data = exports.to_sheet(drawn, asked.size, style)
    else:
        written = adaptation.write_recipe(np.array(asked.latents, np.float32))
        data = exports.to_zip(drawn, asked.size, style, transparent, written)
    return common.attach(data, *_FILES[asked.format])


def _draw(adapted, latents):
    width = adapted.networks.latent
    if any(len(row) != width for row in latents):
        raise HTTPException(400, f"latents: each row must have {width} numbers")
    return adapted.draw(np.array(latents, np.float32))
