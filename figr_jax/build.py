"""Builds networks, losses and optimizers from a config."""

import ast
import functools
import inspect

import jax
import optax

from figr_jax import adaptation, losses
from figr_jax import networks as families
from figr_jax.common.errors import BadInput
from figr_jax.sampling import Sampling


def networks(config):
    """Builds the `networks.Networks` of a config."""
    sizes = dict(config.networks)
    return families.build(
        sizes.pop("family"),
        image_size=config.dataset.image_size,
        channels=config.dataset.channels,
        **sizes,
    )


def inner(config):
    """Builds the `adaptation.Inner` of meta-training."""
    fields = config.inner
    return adaptation.Inner(
        _loss(fields.loss, fields.penalty_weight),
        optimizer(config, "inner"),
        fields.steps,
        fields.critic_steps,
    )


def sampling(config):
    """Builds the `sampling.Sampling` with which a trained model adapts and samples."""
    base, fields = inner(config), config.sampling
    adapted = base._replace(
        optimizer=_scaled(base.optimizer, fields.rate, fields.decay_rate),
        steps=base.steps if fields.steps < 0 else fields.steps,
        critic_steps=fields.critic_steps or base.critic_steps,
    )
    return Sampling(adapted, fields.latent_scale, fields.best_of)


def outer(config):
    """Builds the optax transform on the pseudo-gradient."""
    last = config.run.meta_steps
    first = int(last * (1 - config.outer.decay))  # meta-steps before the decay
    schedule = optax.constant_schedule(1.0)
    if first < last:
        schedule = optax.linear_schedule(1.0, 0.0, last - first, first)
    return optax.chain(optimizer(config, "outer"), optax.scale_by_schedule(schedule))


# Cached, so that equal configs give equal (hashable) objects and compile once.
@functools.cache
def _loss(name, penalty_weight):
    return losses.LOSSES[name](penalty_weight)


@functools.cache
def _scaled(optimizer, rate, decay_rate):
    if rate == decay_rate == 1:
        return optimizer
    schedule = optax.exponential_decay(rate, 1, decay_rate)
    return optax.chain(optimizer, optax.scale_by_schedule(schedule))


@functools.cache
def _optimizer(name, learning_rate, args):
    optimizer = getattr(optax, name)(learning_rate, **dict(args))
    # Some need more than a gradient (a value, a line search): fail here, not in a run.
    params = jax.ShapeDtypeStruct((1,), "float32")
    jax.eval_shape(lambda x: optimizer.update(x, optimizer.init(x), x), params)
    return optimizer


def optimizer(config, section):
    """Builds the optax optimizer of a section, `inner` or `outer`.

    Raises:
      BadInput: if optax rejects its arguments.
    """
    values = config[section]
    args = parse_args(values.optimizer_args)
    try:
        return _optimizer(values.optimizer, values.learning_rate, args)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"--config.{section}.optimizer={values.optimizer!r} with optimizer_args="
            f"{values.optimizer_args!r}: optax says: {error}"
        ) from error


def is_optimizer(name):
    """Returns whether `name` is an optax optimizer that takes a learning rate."""
    function = getattr(optax, name, None)
    return (
        inspect.isfunction(function)
        and "learning_rate" in inspect.signature(function).parameters
    )


def parse_args(text):
    """Parses `"b1=0.0,b2=0.9"` to `(("b1", 0.0), ("b2", 0.9))`; None if malformed."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    try:
        args = tuple((k.strip(), ast.literal_eval(v.strip())) for k, _, v in pairs)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    numbers = all(isinstance(v, int | float) for _, v in args)
    return args if numbers and all(k.isidentifier() for k, _ in args) else None
