"""The published algorithm in PyTorch and ours agree, number by number."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from figr_jax import adaptation, losses, networks
from figr_jax.networks import published

torch = pytest.importorskip("torch", reason="parity needs the extra [torch]")
from experiments.speed import torch_peer  # noqa: E402

STEPS, SHOTS, LATENT = 10, 4, 7
RATE = 1e-2


def state_dict(module):
    """A module's parameters as arrays of their own."""
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


class Pair:
    """The same networks, weights, support and noise in both frameworks."""

    def __init__(self, family, channels):
        torch.manual_seed(0)
        sizes = dict(image_size=16, channels=channels, width=4, stages=2, latent=LATENT)
        self.generator, self.critic = torch_peer.build(family, **sizes)
        self.params, found = published.to_params(
            *map(state_dict, (self.generator, self.critic))
        )
        self.networks = networks.build(**found._asdict())
        rng = np.random.default_rng(0)
        self.support = rng.uniform(-1, 1, (SHOTS, 16, 16, channels)).astype(np.float32)
        self.noise = adaptation.Noise(
            rng.normal(size=(STEPS, 1, SHOTS, LATENT)).astype(np.float32),
            rng.uniform(size=(STEPS, 1, SHOTS)).astype(np.float32),
            rng.normal(size=(STEPS, SHOTS, LATENT)).astype(np.float32),
        )
        self.real = torch.tensor(self.support.transpose(0, 3, 1, 2))
        self.fake = self.generator(torch.tensor(self.noise.generator_latents[0]))
        self.fake_jax = self.networks.generate(
            self.params.generator, self.noise.generator_latents[0], self.support
        )
        self.epsilon = self.noise.epsilon[0, 0]


@pytest.fixture(scope="module", params=[("resnet", 1), ("dcgan", 1), ("dcgan", 3)])
def pair(request):
    return Pair(*request.param)


def relative_error(ours, theirs):
    ours, theirs = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (ours, theirs)
    )
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def gradient(loss, module):
    """The peer's gradient as a state dict."""
    names, params = zip(*module.named_parameters(), strict=True)
    values = torch.autograd.grad(loss, params, materialize_grads=True)
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def test_forward(pair):
    theirs = pair.fake.detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(pair.fake_jax, theirs, atol=1e-5)
    ours = pair.networks.criticize(pair.params.critic, pair.support)
    theirs = pair.critic(pair.real).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_penalties_and_gradients(pair, name):
    loss = losses.LOSSES[name](10.0)
    latents = pair.noise.generator_latents[0]

    @jax.jit
    def ours(params):
        def critic_loss(critic):
            criticize = functools.partial(pair.networks.criticize, critic)
            return loss.critic(criticize, pair.support, pair.fake_jax, pair.epsilon)

        def generator_loss(generator):
            criticize = functools.partial(pair.networks.criticize, params.critic)
            fake = pair.networks.generate(generator, latents, pair.support)
            return loss.generator(criticize, pair.support, fake)

        (value, penalty), critic = jax.value_and_grad(critic_loss, has_aux=True)(
            params.critic
        )
        generator_value, generator = jax.value_and_grad(generator_loss)(
            params.generator
        )
        return (value, penalty, generator_value), (generator, critic)

    values, gradients = ours(pair.params)

    value, penalty = torch_peer.critic_loss(
        name, pair.critic, pair.real, pair.fake.detach(), torch.tensor(pair.epsilon)
    )
    fake = pair.generator(torch.tensor(latents))
    generator_value = torch_peer.generator_loss(name, pair.critic, pair.real, fake)
    theirs = published.to_params(
        gradient(generator_value, pair.generator), gradient(value, pair.critic)
    )[0]

    np.testing.assert_allclose(
        values, [x.item() for x in (value, penalty, generator_value)], rtol=1e-4
    )
    for our, their in zip(gradients, theirs, strict=True):
        assert relative_error(our, their) < 1e-3


@pytest.mark.parametrize("name", ["wgan_gp", "wgan_gp_published", "relativistic"])
def test_ten_inner_steps(pair, name):
    # In float64: ten steps amplify rounding, by how much depends on the machine's
    # products, and where a unit changes its sign float32 shows another path.
    inner = adaptation.Inner(losses.LOSSES[name](10.0), optax.sgd(RATE), STEPS)
    with jax.enable_x64(True):
        params, support, noise = jax.tree.map(
            lambda x: jnp.asarray(x, float), (pair.params, pair.support, pair.noise)
        )
        fast, trace = jax.jit(adaptation.adapt_with_noise, static_argnums=(0, 4))(
            pair.networks._replace(dtype="float64"),
            params,
            adaptation.Episode(support),
            noise,
            inner,
        )
    fast, trace = jax.device_get((fast, trace))

    peers = [copy.deepcopy(x).double() for x in (pair.generator, pair.critic)]
    noise = jax.tree.map(lambda x: torch.tensor(x).double(), pair.noise)
    steps = zip(
        noise.critic_latents[:, 0],
        noise.epsilon[:, 0],
        noise.generator_latents,
        strict=True,
    )
    their_trace = torch_peer.adapt(*peers, pair.real.double(), steps, name, RATE)
    theirs, _ = published.to_params(*map(state_dict, peers))

    for our, slow, their in zip(fast, pair.params, theirs, strict=True):
        movement = jax.tree.map(np.subtract, our, slow)
        their_movement = jax.tree.map(np.subtract, their, slow)
        error = relative_error(movement, their_movement)
        print(f"{name}: relative error of the movement {error:.1e}")
        assert error < 1e-8
    np.testing.assert_allclose(np.stack(trace, 1), their_trace, rtol=1e-8)


def test_keys_are_those_of_the_published_code():
    generator, critic = torch_peer.build("resnet", 32, width=4)
    kinds = ("convs", "norm", "activ")
    stages = {
        f"{kind}{k}.{i}" for kind in kinds for k in (1, 2, 3, 4) for i in range(4)
    }
    stages |= {
        f"transitions_{k}.{i}" for k in ("conv", "norm", "activ") for i in range(4)
    }
    starts = {f"initial_{kind}" for kind in ("linear", "norm", "activ")}
    assert modules(generator) == stages | starts | {"final_conv"}
    starts = {f"initial_{kind}" for kind in ("conv", "norm", "activ")}
    assert modules(critic) == stages | starts | {"final_linear"}

    generator, critic = torch_peer.build("dcgan", 32, width=4)
    stages = {f"{kind}.{i}" for kind in kinds for i in range(4)}
    assert modules(critic) == stages | starts | {"final_linear"}
    starts = {f"initial_{kind}" for kind in ("linear", "norm", "activ")}
    assert modules(generator) == stages | starts | {"final_conv"}


def modules(network):
    return {name.rpartition(".")[0] for name in network.state_dict()}


def test_other_networks_are_refused(pair):
    generator, critic = map(state_dict, (pair.generator, pair.critic))
    with pytest.raises(KeyError, match="final_conv"):
        published.to_params({}, critic)
    with pytest.raises(ValueError, match="parameters, must be"):
        published.to_params(generator | {"extra": np.zeros(1)}, critic)
    name = "initial_activ.weight"
    with pytest.raises(ValueError, match="of shape"):
        published.to_params(generator, critic | {name: critic[name][1:]})
