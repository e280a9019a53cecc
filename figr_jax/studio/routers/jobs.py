"""Routes for the events of jobs and for cancelling jobs."""

import asyncio

import fastapi
from fastapi.sse import EventSourceResponse

from figr_jax.studio import schema
from figr_jax.studio.routers import common

router = fastapi.APIRouter(prefix="/api/jobs")

_POLL = 0.02  # seconds between polls of a job's events


@router.get("/{id}/events", response_class=EventSourceResponse)
async def stream_events(job: common.Job, queue: common.Queue):
    """Streams the server-sent events of a job, starting with the first one.

    Each event is a JSON object with a `type`: `waiting` (`ahead`: number of jobs
    ahead), `started`, or `step` (`step` of `steps`; in an adaptation also
    `critic_loss`, `generator_loss` and `images`, PNG files in base64). The last event
    is `done`, `failed` (`error`: a sentence) or `cancelled`.
    """
    sent, ahead = 0, 0
    while not job.is_over or sent < len(job.events):
        if not job.events and queue.ahead(job) != ahead:
            ahead = queue.ahead(job)
            yield {"type": "waiting", "ahead": ahead}
        for event in job.events[sent:]:
            sent += 1
            yield event
        await asyncio.sleep(_POLL)


@router.delete("/{id}")
def cancel(job: common.Job, queue: common.Queue) -> schema.Cancelled:
    """Cancels a job: at its next step, or at once if it is waiting."""
    queue.cancel(job)
    return {"cancelled": True}
