"""Routes of the real-or-generated game, the human test in the page."""

import io
import json
import zipfile
from typing import Annotated

import fastapi
from fastapi import responses
from starlette.exceptions import HTTPException

from figr_jax.evaluation import human
from figr_jax.studio import schema, works
from figr_jax.studio.routers import common

router = fastapi.APIRouter(prefix="/api")

Game = Annotated[works.Judged, common.result_of_type(works.Judged)]


@router.post("/judge", status_code=202)
def judge(
    asked: schema.Judging, shelf: common.Shelf, queue: common.Queue
) -> schema.Queued:
    """Queues a real-or-generated game.

    Its last event before `done` has the type `images` and contains them by name.
    """
    model = common.find_model(asked.model, shelf)
    return common.add_job(queue, works.judge(model, asked.seed, asked.sheets))


@router.post("/jobs/{id}/answers")
def take_answer(asked: schema.Answer, game: Game) -> schema.Told:
    """Records an answer and returns the score; the first answer for an image counts."""
    if asked.image not in game.key:
        raise HTTPException(404, f"no image {asked.image!r} in this game")
    game.answers.setdefault(asked.image, asked.answer)
    truth = game.key[asked.image]
    return {"truth": truth, "score": human.tally(game.key, dict(game.answers))}


@router.get(
    "/jobs/{id}/answers.zip",
    response_class=responses.Response,
    responses={200: {"content": {"application/zip": {}}}},
)
def download_answers(game: Game):
    """Returns the answers and the key, for `figr_jax.evaluate --judge_answers`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("answers.csv", human.write_form(game.key, game.answers))
        archive.writestr("key.json", json.dumps(game.key))
    return common.attach(file.getvalue(), "application/zip", "answers.zip")
