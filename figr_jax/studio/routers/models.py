"""Routes for model cards, examples and prepared drawings."""

import fastapi
from starlette.exceptions import HTTPException

from figr_jax import recipe
from figr_jax.studio import schema
from figr_jax.studio.routers import common

router = fastapi.APIRouter(prefix="/api")


@router.get("/models")
def list_models(shelf: common.Shelf) -> list[str]:
    """Lists the names of the models, the default first."""
    return shelf.names


@router.get("/models/{name}")
def describe_model(model: common.Model) -> schema.Card:
    """Returns a model's card: data set, licence, size, figures of its last report."""
    return model.card()


@router.get("/models/{name}/examples/{number}")
def show_example(number: int, model: common.Model) -> schema.Example:
    """Returns a support of a held-out class; the number wraps around."""
    if not model.examples:
        raise HTTPException(404, "this model has no examples; draw your own")
    label = list(model.examples)[number % len(model.examples)]
    shown = model.examples[label][: model.generator.config.inner.shots]
    return {"class": label, "images": [recipe.encode(image) for image in shown]}


@router.get("/models/{name}/steering/{shots}")
def show_steering(shots: schema.Shots, model: common.Model) -> schema.Steering:
    """Returns, for each drawing, the change of latents that moves images towards it.

    Adding change i to latents raises the logit of the mixing weight of drawing i by one
    standard deviation. Empty for a model without mixing weights.
    """
    networks = model.generator.networks
    return {"changes": networks.steering(shots).tolist()}


@router.post("/see")
def see(asked: schema.Drawings, shelf: common.Shelf) -> schema.Seen:
    """Returns drawings as the model sees them: cropped, centred, in its polarity."""
    model = common.find_model(asked.model, shelf)
    originals, _ = common.decode(asked.images, model.generator.networks.channels)
    prepared, hints = model.prepare(originals)
    return {
        "images": [recipe.encode(image) for image in prepared.support],
        "swapped": prepared.swapped.tolist(),
        "blank": prepared.blank.tolist(),
        "hints": hints,
    }
