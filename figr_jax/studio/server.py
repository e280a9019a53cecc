"""The studio's web server: the JSON API and the page."""

import pathlib

import fastapi
from fastapi import exceptions, staticfiles
from starlette.exceptions import HTTPException

import figr_jax
from figr_jax.studio import guard, jobs, schema
from figr_jax.studio.routers import adaptations, games, models
from figr_jax.studio.routers import jobs as job_routes

_PAGE = pathlib.Path(__file__).parent / "page"
_PLAIN = {  # messages of the framework, and their replacements
    "Not Found": "there is nothing at this address; see /openapi.json",
    "Method Not Allowed": "this address does not allow this method; see /openapi.json",
}
_ABOUT = """Generates new images of a class from a few images of it.

1. `POST /api/see` returns images of any size as a model sees them.
2. `POST /api/adapt` takes images as a support and returns a job.
3. `GET /api/jobs/{id}/events` streams its progress, with samples after each inner step.
4. `POST /api/jobs/{id}/images` generates an image for each latent: a row of as many
   standard normal numbers as `latent` in `GET /api/models/{name}`.
   `POST /api/jobs/{id}/latents` draws such rows.
5. `POST /api/jobs/{id}/export` exports images as files.

Every failure is a JSON object with one sentence as `error`.
"""


def make_app(shelf, hosts=guard.LOCAL, token=None):
    """Builds the ASGI application.

    Args:
      shelf: `models.Shelf`.
      hosts: allowed host names, without the port.
      token: token that a request must carry, as a bearer or a cookie, or None.

    Returns:
      A `guard.Guard` around a `fastapi.FastAPI`.
    """
    app = fastapi.FastAPI(
        title="figr studio",
        version=figr_jax.__version__,
        description=_ABOUT,
        docs_url=None,  # loads scripts from another host
        redoc_url=None,
        responses={"4XX": {"model": schema.Refusal}, "503": {"model": schema.Refusal}},
    )
    app.state.shelf, app.state.queue = shelf, jobs.Queue()
    for module in (models, adaptations, games, job_routes):
        app.include_router(module.router)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(exceptions.RequestValidationError, _refuse_invalid)
    app.mount("/", staticfiles.StaticFiles(directory=_PAGE, html=True))
    return guard.Guard(app, hosts, token)


async def _refuse(_, error):
    return guard.refuse(error.status_code, _PLAIN.get(error.detail, error.detail))


async def _refuse_invalid(_, error):
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return guard.refuse(400, "the request is not valid JSON")
    where = ".".join(str(part) for part in first["loc"][1:4])
    return guard.refuse(400, f"{where or 'the request'}: {first['msg']}")
