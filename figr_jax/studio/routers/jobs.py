"""Routes for the events of jobs and for cancelling jobs."""

import asyncio
import json

import fastapi
from fastapi import responses

from figr_jax.studio import jobs, schema
from figr_jax.studio.routers import common

router = fastapi.APIRouter(prefix="/api/jobs")

_POLL = 0.02  # seconds between polls of a job's events


@router.get(
    "/{id}/events",
    response_class=responses.StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def stream_events(id: str, queue: common.Queue):
    """Streams the server-sent events of a job, starting with the first one.

    Each event is a JSON object with a `type`: `waiting` (`ahead`: number of jobs
    ahead), `started`, or `step` (`step` of `steps`; in an adaptation also
    `critic_loss`, `generator_loss` and `images`, PNG files in base64). The last event
    is `done`, `failed` (`error`: a sentence) or `cancelled`.
    """
    job = common.find_job(queue, id)

    async def stream():
        sent, ahead = 0, 0
        while True:
            if not job.events and queue.ahead(job) != ahead:
                ahead = queue.ahead(job)
                yield _format({"type": "waiting", "ahead": ahead})
            for event in job.events[sent:]:
                sent += 1
                yield _format(event)
                if event["type"] in jobs.LAST:
                    return
            await asyncio.sleep(_POLL)

    return responses.StreamingResponse(stream(), media_type="text/event-stream")


@router.delete("/{id}")
def cancel(id: str, queue: common.Queue) -> schema.Cancelled:
    """Cancels a job: at its next step, or at once if it is waiting."""
    queue.cancel(common.find_job(queue, id))
    return {"cancelled": True}


def _format(event):
    return f"data: {json.dumps(event)}\n\n"
