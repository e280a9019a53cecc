"""Dependencies and helpers of the routers."""

from typing import Annotated

import fastapi
from fastapi import Depends, Request, responses
from starlette.exceptions import HTTPException

from figr_jax import recipe
from figr_jax.common.errors import BadInput, FailedWork
from figr_jax.data import images
from figr_jax.studio import jobs, models

MAX_PIXELS = 2**24  # of an image; an A4 page at 300 dpi has half of that


def get_shelf(request: Request) -> models.Shelf:
    """Returns the application's models."""
    return request.app.state.shelf


def get_queue(request: Request) -> jobs.Queue:
    """Returns the application's job queue."""
    return request.app.state.queue


Shelf = Annotated[models.Shelf, Depends(get_shelf)]
Queue = Annotated[jobs.Queue, Depends(get_queue)]


def find_model(name: str, shelf: Shelf) -> models.Model:
    """Returns the model with this name.

    Raises:
      HTTPException: 404 if no model has this name, 503 if it cannot be used.
    """
    if name not in shelf.names:
        names = ", ".join(shelf.names)
        raise HTTPException(404, f"no model {name!r}; choose one of {names}")
    try:
        return shelf.get(name)
    except (BadInput, FailedWork) as error:
        raise HTTPException(503, str(error)) from error


Model = Annotated[models.Model, Depends(find_model)]


def find_job(id: str, queue: Queue) -> jobs.Job:
    """Returns the job of the request's path.

    Raises:
      HTTPException: 404 if there is no such job.
    """
    job = queue.get(id)
    if job is None:
        raise HTTPException(404, "unknown or expired job; start a new one")
    return job


Job = Annotated[jobs.Job, Depends(find_job)]


def result_of_type(kind):
    """Makes the dependency that returns the result of the request's job.

    Args:
      kind: type that the result must have; the request fails with 409 if it has not.
    """

    def find_result(job: Job):
        if not isinstance(job.result, kind):
            raise HTTPException(409, "this job has no such result (yet)")
        return job.result

    return Depends(find_result)


def add_job(queue, work):
    """Queues work; returns a `schema.Queued` as a dict.

    Raises:
      HTTPException: 503 if too many jobs are waiting.
    """
    try:
        job = queue.add(work)
    except jobs.Full as error:
        raise HTTPException(
            503, "too many jobs are waiting; try again later"
        ) from error
    return {"job": job.id, "ahead": queue.ahead(job)}


def decode(texts, channels):
    """Decodes base64 images.

    Returns:
      A list of `[H, W, channels]` uint8, and the number of images in colour that were
      converted to grey.

    Raises:
      HTTPException: 400 if an image cannot be read.
    """
    decoded, coloured = [], 0
    for number, text in enumerate(texts, 1):
        try:
            image = recipe.decode(text, 3, MAX_PIXELS)
        except images.Unreadable as error:
            raise HTTPException(
                400,
                f"image {number} cannot be read ({error}); give {images.FORMATS}, "
                f"at most {MAX_PIXELS:,} pixels",
            ) from error
        if channels == 1:
            coloured += images.is_colour(image)
            image = images.to_grey(image)
        decoded.append(image)
    return decoded, coloured


def attach(data, kind, name) -> fastapi.Response:
    """Returns bytes as a file to download."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return responses.Response(data, media_type=kind, headers=headers)
