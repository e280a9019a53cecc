"""Requests and responses of the studio's API."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from figr_jax.evaluation import human
from figr_jax.studio import exports, guard

MAX_SUPPORT = 16
MAX_STEPS = 100
MAX_IMAGES = 64  # in one response
MAX_LATENT = 100.0  # largest magnitude of a number

File = Annotated[
    str, Field(max_length=guard.MAX_BODY, description="An image, in base64.")
]
Png = Annotated[str, Field(description="A PNG file, in base64.")]
Name = Annotated[str, Field(max_length=255, description="One of /api/models.")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Shots = Annotated[int, Field(ge=1, le=MAX_SUPPORT)]


class Asked(BaseModel, extra="forbid"):
    """Base of requests: refuses unknown fields, which may be misspelt."""


class Card(BaseModel):
    """Facts about a model."""

    name: str
    snapshot: Annotated[int, Field(description="As in the recipe.json of a zip.")]
    dataset: str
    licence: Annotated[str, Field(description="Of the images of the data set.")]
    image_size: Annotated[int, Field(description="Height and width, pixels.")]
    channels: int
    background: Annotated[float, Field(description="Grey level, from 0 to 255.")]
    networks: str
    latent: Annotated[int, Field(description="Numbers in a row of latents.")]
    shots: int
    inner_steps: int
    best_of: Annotated[int, Field(description="Candidates of an image with `best`.")]
    meta_steps: int | None
    heldout_classes: int
    examples: Annotated[int, Field(description="Held-out classes with images to show.")]
    report: Annotated[dict | None, Field(description="Figures of the last report.")]


class Drawings(Asked):
    """Images of any size, to prepare for a model."""

    model: Name
    images: Annotated[list[File], Field(min_length=1, max_length=MAX_SUPPORT)]


class Seen(BaseModel):
    """Prepared drawings, and warnings about them."""

    images: list[Png]
    swapped: Annotated[list[bool], Field(description="Dark and light were swapped.")]
    blank: Annotated[list[bool], Field(description="The image has almost no ink.")]
    hints: Annotated[list[str], Field(description="Warnings, each with what to do.")]


class Example(BaseModel):
    """A support of a held-out class."""

    label: Annotated[str, Field(alias="class")]
    images: list[Png]


class Adaptation(Asked):
    """Images to adapt to; they are prepared as in `/api/see`."""

    model: Name
    support: Annotated[list[File], Field(min_length=1, max_length=MAX_SUPPORT)]
    seed: Seed = 0
    inner_steps: Annotated[int | None, Field(ge=0, le=MAX_STEPS)] = None
    continues: Annotated[
        str | None,
        Field(
            max_length=255,
            description="Job of an earlier adaptation. If its model, images and seed "
            "are the same, its inner steps are not repeated. The result is the same.",
        ),
    ] = None


class Judging(Asked):
    """A real-or-generated test: one image at a time, or four against four."""

    model: Name
    seed: Seed = 0
    sheets: Annotated[
        bool,
        Field(
            description="Show four real images next to four generated ones of the same "
            "class; the answer is about the four on the left."
        ),
    ] = False


class Queued(BaseModel):
    """A queued job: its id, a secret of the client; the number of jobs ahead of it."""

    job: str
    ahead: int
    hints: Annotated[
        list[str], Field(description="Warnings about the images, and conversions.")
    ] = []


class Cancelled(BaseModel):
    """Confirmation that a job will stop."""

    cancelled: bool


class LatentsRequest(Asked):
    """Seed and number of latents to draw."""

    seed: Seed = 0
    count: Annotated[int, Field(ge=1, le=MAX_IMAGES)]
    best: Annotated[
        bool, Field(description="Choose among candidates with the adapted critic.")
    ] = False


class Rows(BaseModel):
    """Rows of latents."""

    latents: list[list[float]]


class Steering(BaseModel):
    """For each drawing, the change of latents that moves images towards it."""

    changes: list[list[float]]


class Latents(Asked):
    """Latents of images to generate; each row has the latent size of the model."""

    latents: Annotated[
        list[list[Annotated[float, Field(ge=-MAX_LATENT, le=MAX_LATENT)]]],
        Field(min_length=1, max_length=MAX_IMAGES),
    ]


class Picture(BaseModel):
    """An image, and its similarity to the nearest drawing (numbered from 0)."""

    image: Png
    nearest: int
    similarity: float
    is_copy: Annotated[bool, Field(alias="copy")]


class Drawn(BaseModel):
    """An image for each row of latents."""

    images: list[Picture]


class Export(Latents):
    """Images to export."""

    format: Literal["png", "svg", "sheet", "zip"]
    size: Literal[exports.SIZES] = 512
    transparent: bool = False


class Answer(Asked):
    """A judge's answer about one image."""

    image: Annotated[str, Field(max_length=255)]
    answer: Literal[human.ANSWERS]


class Told(BaseModel):
    """The truth about an image, and the judge's score so far."""

    truth: dict[str, str]
    score: dict


class Refusal(BaseModel):
    """The reason of a refusal, in one sentence."""

    error: str
