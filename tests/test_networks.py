import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax import flatten_util, lax

from figr_jax import adaptation, losses, networks
from figr_jax.common import compilation
from figr_jax.networks import convolution, layers, subpixel


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "family, image_size, generator, critic",
    [
        ("resnet", 32, 57_399_745, 20_422_081),
        ("resnet", 64, 60_336_577, 25_238_977),
        ("dcgan", 32, 17_898_945, 18_040_257),
        ("dcgan", 64, 19_361_217, 19_920_321),
    ],
)
def test_parameter_counts_at_the_papers_size(family, image_size, generator, critic):
    nets = networks.build(family, image_size=image_size)
    params = jax.eval_shape(nets.init, jax.random.key(0))
    assert (count(params.generator), count(params.critic)) == (generator, critic)


@pytest.mark.parametrize("family", networks.FAMILIES)
@pytest.mark.parametrize("image_size, channels, stages", [(16, 3, 1), (8, 1, 3)])
def test_shapes_for_any_size(family, image_size, channels, stages):
    nets = networks.build(
        family, image_size=image_size, channels=channels, width=2, stages=stages
    )
    params = jax.eval_shape(nets.init, jax.random.key(0))
    latents = jax.ShapeDtypeStruct((5, nets.latent), jnp.float32)
    shape = (3, image_size, image_size, channels)
    support = jax.ShapeDtypeStruct(shape, jnp.float32)
    images = jax.eval_shape(nets.generate, params.generator, latents, support)
    assert images.shape == (5, image_size, image_size, channels)
    values = jax.eval_shape(nets.criticize, params.critic, images)
    assert values.shape == (5,)


@pytest.mark.parametrize("family", networks.FAMILIES)
def test_without_layer_norm_there_is_none(family):
    def norms(**options):
        made = networks.build(family, image_size=8, width=2, stages=1, **options)
        params = jax.eval_shape(made.init, jax.random.key(0))
        paths = jax.tree_util.tree_flatten_with_path(params)[0]
        return sum("LayerNorm" in jax.tree_util.keystr(path) for path, _ in paths)

    assert norms() > 0 == norms(layer_norm=False)


@pytest.mark.parametrize(
    "family, minibatch_std",
    [("subpixel", False), *((family, True) for family in networks.FAMILIES)],
)
def test_a_critic_sees_the_rest_of_its_batch_if_told_and_no_other(
    family, minibatch_std
):
    nets = networks.build(
        family, image_size=8, width=2, stages=1, minibatch_std=minibatch_std
    )
    critic = nets.init(jax.random.key(0)).critic
    different = jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
    images = jnp.stack([different, jnp.repeat(different[:1], 3, axis=0)])
    values = nets.criticize(critic, images)
    for batch, expected in zip(images, values, strict=True):
        np.testing.assert_allclose(
            nets.criticize(critic, batch), expected, rtol=1e-5, atol=1e-6
        )
    moved = abs(float(values[0, 0] - values[1, 0]))  # the same image in two batches
    assert (moved > 1e-3) == minibatch_std


def test_shuffling_makes_a_block_of_pixels_of_channels_and_is_undone():
    x = jnp.arange(2 * 3 * 2 * 8.0).reshape(2, 3, 2, 8)
    shuffled = subpixel.shuffle(x)
    assert shuffled.shape == (2, 6, 4, 2)
    block = shuffled[1, 4:6, 2:4].reshape(-1)
    np.testing.assert_array_equal(block, x[1, 2, 1])
    np.testing.assert_array_equal(subpixel.unshuffle(shuffled), x)


def test_generated_images_are_in_range(tiny):
    nets, params = tiny
    latents = 100 * jax.random.normal(jax.random.key(1), (20, nets.latent))
    images = nets.generate(params.generator, latents, None)
    assert -1 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("count, height", [(3, 2), (4, 32), (5, 32)])
def test_layer_norm_is_linens_and_so_are_its_derivatives(count, height):
    x = jax.random.normal(jax.random.key(0), (count, height, height, 16))
    weight = jax.random.normal(jax.random.key(1), x.shape)
    params = {"scale": 1 + weight[0] / 3, "bias": weight[1]}
    axes = (1, 2, 3)
    linens = nn.LayerNorm(epsilon=1e-5, reduction_axes=axes, feature_axes=axes)

    def gradients(norm):
        def value(params, x):
            return jnp.mean(weight * norm.apply({"params": params}, x) ** 2)

        def square(params, x):  # as a penalty on a gradient
            gradient = jax.grad(value, (0, 1))(params, x)
            return sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient))

        first = jax.jit(jax.value_and_grad(value, (0, 1)))(params, x)
        return first, jax.jit(jax.grad(square, (0, 1)))(params, x)

    ours, theirs = gradients(layers.LayerNorm()), gradients(linens)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * float(abs(b).max()))


def test_initialization_is_pytorchs():
    x = jnp.zeros((1, 8, 8, 16))
    params = layers.Convolution(64, 5).init(jax.random.key(0), x)["params"]
    bound = (5 * 5 * 16) ** -0.5  # 1 / sqrt(fan_in), for weights and biases
    for leaf in params.values():
        assert 0.9 * bound < jnp.abs(leaf).max() <= bound
    # A uniform distribution on +-bound has the standard deviation bound / sqrt(3).
    assert params["kernel"].std() == pytest.approx(bound / 3**0.5, rel=0.02)
    prelu = layers.PReLU().init(jax.random.key(0), x)["params"]["slope"]
    np.testing.assert_array_equal(prelu, np.full(16, 0.25, np.float32))


def xla_autodiff(x, kernel):
    """The convolution as XLA and plain autodiff have it: the reference."""
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def derivatives(convolve, x, kernel, y):
    """Value, first derivatives, and second derivatives as the penalty takes them."""

    def loss(x, kernel):
        return jnp.sum(y * jnp.tanh(convolve(x, kernel)))

    def penalty(x, kernel):
        return jnp.sum(jax.grad(loss)(x, kernel) ** 2)

    return (
        convolve(x, kernel),
        jax.grad(loss, (0, 1))(x, kernel),
        jax.grad(penalty, (0, 1))(x, kernel),
        jax.grad(lambda k: jnp.sum(jax.grad(loss, 1)(x, k) ** 2))(kernel),
    )


@pytest.mark.parametrize("lowering", convolution.LOWERINGS)
@pytest.mark.parametrize("height, width, size", [(6, 6, 3), (4, 6, 5), (2, 2, 7)])
def test_lowerings_equal_autodiff_of_xla(lowering, height, width, size):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (3, height, width, 2))
    kernel = jax.random.normal(keys[1], (size, size, 2, 5))
    y = jax.random.normal(keys[2], (3, height, width, 5))
    got, expected = (
        jax.jit(functools.partial(derivatives, f))(x, kernel, y)
        for f in (lambda x, k: convolution.convolve(x, k, lowering), xla_autodiff)
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * float(jnp.abs(b).max()))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="patches are for the CPU")
def test_what_patches_are_taken_of_is_computed_once():
    def correlate(x, y):
        return convolution.correlate(jnp.sin(x), y, 3, "patches")

    x = jax.ShapeDtypeStruct((4, 16, 16, 16), jnp.float32)
    jitted = jax.jit(correlate, compiler_options=compilation.options())
    computations = jitted.lower(x, x).compile().as_text().split("\n\n")
    (sine,) = (text for text in computations if " sine(" in text)
    assert " concatenate(" not in sine


def test_networks_are_the_same_in_every_lowering():
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    results = []
    for lowering in convolution.LOWERINGS:
        nets = networks.build(
            "resnet", image_size=8, width=2, stages=1, latent=3, convolution=lowering
        )

        @jax.jit
        def gradient(key, nets=nets):
            params = nets.init(key)
            fake = nets.generate(params.generator, jnp.ones((2, 3)), None)
            critic = lambda p: nets.criticize(p, images + fake).sum()  # noqa: E731
            return fake, jax.grad(critic)(params.critic)

        results.append(gradient(jax.random.key(0)))
    first, *others = map(jax.tree.leaves, results)
    for other in others:
        for a, b in zip(other, first, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


def test_bfloat16_arithmetic_adapts_float32_parameters_much_alike(tiny, support):
    nets, slow = tiny
    inner = adaptation.Inner(losses.wgan_gp(), optax.sgd(1e-3), 2)

    @functools.partial(jax.jit, static_argnums=0)
    def movement(nets):
        fast, _ = adaptation.adapt(
            nets, slow, adaptation.Episode(support), jax.random.key(1), inner
        )
        return flatten_util.ravel_pytree(jax.tree.map(jnp.subtract, fast, slow))[0]

    full, half = movement(nets), movement(nets._replace(dtype="bfloat16"))
    assert half.dtype == jnp.float32 and not jnp.array_equal(half, full)
    assert jnp.linalg.norm(half - full) < 0.1 * jnp.linalg.norm(full)
