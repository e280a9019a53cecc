"""The published algorithm in PyTorch and ours agree, number by number."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from figr_jax import adaptation, losses, networks
from figr_jax.networks import published

torch = pytest.importorskip("torch", reason="parity needs the extra [torch]")
from experiments.speed import torch_peer  # noqa: E402

STEPS, SHOTS, LATENT, RATE = 10, 4, 7, 1e-2


class Pair:
    """The same networks, weights, support and noise in both frameworks."""

    def __init__(self, family, channels):
        torch.manual_seed(0)
        sizes = dict(image_size=16, channels=channels, width=4, stages=2, latent=LATENT)
        self.generator, self.critic = torch_peer.build(family, **sizes)
        self.params, found = published.to_params(*self.state_dicts())
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
            self.params.generator, self.noise.generator_latents[0]
        )
        self.mix = self.noise.penalty_mix[0, 0]

    def state_dicts(self):
        return [
            {k: v.detach().numpy().copy() for k, v in module.state_dict().items()}
            for module in (self.generator, self.critic)
        ]

    def gradients(self):
        """The peer's gradients, laid out like our parameters."""
        states = [
            {k: p.grad.numpy() for k, p in module.named_parameters()}
            for module in (self.generator, self.critic)
        ]
        return published.to_params(*states)[0]

    def criticize(self, params):
        return lambda images: self.networks.criticize(params, images)


@pytest.fixture(scope="module", params=[("resnet", 1), ("dcgan", 1), ("dcgan", 3)])
def pair(request):
    return Pair(*request.param)


def relative_error(ours, theirs):
    difference = jax.tree.map(jnp.subtract, ours, theirs)
    return float(optax.global_norm(difference) / optax.global_norm(theirs))


def test_forward(pair):
    theirs = pair.fake.detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(pair.fake_jax, theirs, atol=1e-5)
    ours = pair.networks.criticize(pair.params.critic, pair.support)
    theirs = pair.critic(pair.real).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_penalties_and_gradients(pair, name):
    loss = losses.build(name, 10.0)
    mix = torch.tensor(pair.mix)

    def ours(critic):
        return loss.critic(
            pair.criticize(critic), pair.support, pair.fake_jax, pair.mix
        )

    (value, penalty), critic_gradient = jax.value_and_grad(ours, has_aux=True)(
        pair.params.critic
    )
    pair.critic.zero_grad()
    pair.generator.zero_grad()
    their_value, their_penalty = torch_peer.critic_loss(
        name, pair.critic, pair.real, pair.fake.detach(), mix
    )
    their_value.backward()
    their_critic_gradient = {
        k: p.grad.clone() if p.grad is not None else torch.zeros_like(p)
        for k, p in pair.critic.named_parameters()
    }

    def ours_generator(generator):
        fake = pair.networks.generate(generator, pair.noise.generator_latents[0])
        return loss.generator(pair.criticize(pair.params.critic), fake)

    generator_value, generator_gradient = jax.value_and_grad(ours_generator)(
        pair.params.generator
    )
    fake = pair.generator(torch.tensor(pair.noise.generator_latents[0]))
    their_generator_value = torch_peer.generator_loss(name, pair.critic, fake)
    their_generator_value.backward()
    for k, p in pair.critic.named_parameters():
        p.grad = their_critic_gradient[k]
    theirs = pair.gradients()

    assert float(value) == pytest.approx(their_value.item(), rel=1e-4)
    assert float(penalty) == pytest.approx(their_penalty.item(), rel=1e-4)
    assert float(generator_value) == pytest.approx(
        their_generator_value.item(), rel=1e-4
    )
    assert relative_error(critic_gradient, theirs.critic) < 1e-3
    assert relative_error(generator_gradient, theirs.generator) < 1e-3


@pytest.mark.parametrize("name", ["wgan_gp", "wgan_gp_published"])
def test_ten_inner_steps(pair, name, record_property):
    inner = adaptation.Inner(losses.build(name, 10.0), optax.sgd(RATE), STEPS)
    fast, trace = jax.jit(adaptation.adapt_with_noise, static_argnums=(0, 4))(
        pair.networks, pair.params, pair.support, pair.noise, inner
    )
    before = pair.state_dicts()
    noise = zip(*(torch.tensor(x) for x in pair.noise), strict=True)
    noise = [(critic[0], mix[0], generator) for critic, mix, generator in noise]
    their_trace = torch_peer.adapt(
        pair.generator, pair.critic, pair.real, noise, name, RATE
    )
    theirs, _ = published.to_params(*pair.state_dicts())
    pair.generator.load_state_dict({k: torch.tensor(v) for k, v in before[0].items()})
    pair.critic.load_state_dict({k: torch.tensor(v) for k, v in before[1].items()})

    for ours, slow, their in zip(fast, pair.params, theirs, strict=True):
        movement = jax.tree.map(jnp.subtract, ours, slow)
        their_movement = jax.tree.map(jnp.subtract, their, slow)
        error = relative_error(movement, their_movement)
        print(f"{name}: relative error of the movement {error:.1e}")
        assert error < 1e-3
    np.testing.assert_allclose(
        np.stack(trace, axis=1), np.array(their_trace), rtol=1e-3, atol=1e-4
    )
