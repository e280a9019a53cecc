import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from figr_jax import adaptation, build, config, losses, networks, reptile, sampling

RATE, STEPS = 0.1, 7
ADAPT = jax.jit(adaptation.adapt, static_argnums=(0, 4))
META_STEP = jax.jit(reptile.meta_step, static_argnums=(0, 4, 5))


class ConstantImage(nn.Module):
    """Every latent becomes the same grey, a parameter."""

    @nn.compact
    def __call__(self, latents):
        grey = self.param("value", nn.initializers.constant(2.0), ())
        return jnp.broadcast_to(grey, (len(latents), 1, 1, 1))


class ConstantValue(nn.Module):
    """Every image has the same value, a parameter."""

    @nn.compact
    def __call__(self, images):
        value = self.param("value", nn.initializers.constant(-3.0), ())
        return jnp.broadcast_to(value, (len(images),))


def quadratic_task():
    """The critic learns the mean of the support, the generator learns the critic.

    L_D = (d - mean(support))^2 / 2,  L_G = (g - d)^2 / 2.
    """
    nets = networks.Networks(ConstantImage(), ConstantValue(), 1, 1, 1)
    loss = losses.Loss(
        lambda critic, real, fake, epsilon: (
            0.5 * (critic(real).mean() - real.mean()) ** 2,
            jnp.zeros(()),
        ),
        lambda critic, real, fake: 0.5 * (fake.mean() - critic(fake).mean()) ** 2,
    )
    return nets, loss


def closed_form(g, d, target, critic_steps=1, decay_rate=1.0, steps=STEPS, rate=RATE):
    """After inner steps of gradient descent, critic before generator."""
    for step in range(steps):
        for update in range(step * critic_steps, (step + 1) * critic_steps):
            d = d - rate * decay_rate**update * (d - target)
        g = g - rate * decay_rate**step * (g - d)
    return g, d


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_quadratic_task_has_its_closed_form(critic_steps):
    nets, loss = quadratic_task()
    slow = nets.init(jax.random.key(0))
    inner = adaptation.Inner(loss, optax.sgd(RATE), STEPS, critic_steps)
    support = jnp.full((4, 1, 1, 1), 0.5)
    fast, trace = adaptation.adapt(
        nets, slow, adaptation.Episode(support), jax.random.key(1), inner
    )
    expected = closed_form(2.0, -3.0, 0.5, critic_steps)
    got = [float(p["value"]) for p in fast]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert trace.critic_loss.shape == (STEPS,)


@pytest.mark.parametrize("steps, rate", [(-1, 1.0), (3, 0.5), (0, 1.0)])
def test_a_trained_model_may_adapt_otherwise_than_in_meta_training(steps, rate):
    nets, loss = quadratic_task()
    slow = nets.init(jax.random.key(0))
    cfg = config.default()
    cfg.inner.update(optimizer="sgd", learning_rate=RATE, steps=STEPS)
    cfg.sampling.update(critic_steps=3, decay_rate=0.7, steps=steps, rate=rate)
    inner = build.sampling(cfg).inner._replace(loss=loss)
    support = jnp.full((4, 1, 1, 1), 0.5)
    fast, _ = adaptation.adapt(
        nets, slow, adaptation.Episode(support), jax.random.key(1), inner
    )
    steps = STEPS if steps < 0 else steps
    expected = closed_form(2.0, -3.0, 0.5, 3, 0.7, steps, rate * RATE)
    got = [float(p["value"]) for p in fast]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_trained_model_adapts_as_in_training_unless_told():
    cfg = config.default()
    cfg.inner.update(critic_steps=3, optimizer="adam", learning_rate=1e-3)
    assert build.sampling(cfg) == sampling.Sampling(build.inner(cfg))


def test_reptile_on_quadratic_tasks_has_its_closed_form():
    nets, loss = quadratic_task()
    inner = adaptation.Inner(loss, optax.sgd(RATE), STEPS)
    outer, outer_rate = optax.sgd(0.3), 0.3
    targets = (0.5, -0.25)
    supports = jnp.array(targets).reshape(2, 1, 1, 1, 1).repeat(4, 1)
    state = reptile.init(nets, jax.random.key(0), outer)
    state, record = reptile.meta_step(
        nets, state, adaptation.Episode(supports), jax.random.key(1), inner, outer
    )
    fast = np.array([closed_form(2.0, -3.0, target) for target in targets])
    slow = np.array([2.0, -3.0])
    difference = slow - fast.mean(0)
    got = [float(p["value"]) for p in state.slow]
    np.testing.assert_allclose(got, slow - outer_rate * difference, rtol=1e-5)
    assert float(record.pseudo_gradient_norm) == pytest.approx(
        np.linalg.norm(difference), rel=1e-5
    )
    assert int(state.step) == 1


@pytest.mark.parametrize(
    "decay, shares", [(0.0, (1, 1, 1, 1)), (0.75, (1, 1, 2 / 3, 1 / 3))]
)
def test_the_outer_rate_falls_to_nothing_in_the_last_meta_steps(decay, shares):
    nets, loss = quadratic_task()
    inner = adaptation.Inner(loss, optax.sgd(RATE), STEPS)
    cfg = config.default()
    cfg.outer.update(optimizer="sgd", learning_rate=0.3, decay=decay)
    cfg.run.meta_steps = len(shares)
    outer = build.outer(cfg)
    support = jnp.full((1, 4, 1, 1, 1), 0.5)
    state = reptile.init(nets, jax.random.key(0), outer)
    for share in shares:
        state, record = reptile.meta_step(
            nets, state, adaptation.Episode(support), jax.random.key(1), inner, outer
        )
        wanted = 0.3 * share * float(record.pseudo_gradient_norm)
        assert float(record.update_norm) == pytest.approx(wanted, rel=1e-5)


@pytest.fixture(scope="module")
def adapted(tiny, support):
    """Inner, and the fast parameters of the tiny networks as task 0 gets them."""
    nets, slow = tiny
    inner = adaptation.Inner(losses.wgan_gp(), optax.adam(1e-2, b1=0.0), 3)
    key = jax.random.fold_in(jax.random.key(5), 0)
    return inner, ADAPT(nets, slow, adaptation.Episode(support), key, inner)[0]


def assert_close(a, b, rtol=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


def test_an_outer_step_of_sgd_at_rate_one_lands_on_the_fast_parameters(
    tiny, support, adapted
):
    nets, slow = tiny
    inner, fast = adapted
    outer = optax.sgd(1.0)
    state = reptile.ReptileState(jnp.zeros((), jnp.int32), slow, outer.init(slow))
    state, _ = META_STEP(
        nets, state, adaptation.Episode(support[None]), jax.random.key(5), inner, outer
    )
    assert_close(state.slow, fast)


def test_outer_sgd_is_an_incremental_update_to_the_mean(tiny, support, adapted):
    nets, slow = tiny
    inner, fast = adapted
    second = 0.5 * support
    key = jax.random.fold_in(jax.random.key(5), 1)
    other, _ = ADAPT(nets, slow, adaptation.Episode(second), key, inner)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, fast, other)
    outer = optax.sgd(0.25)
    state = reptile.ReptileState(jnp.zeros((), jnp.int32), slow, outer.init(slow))
    tasks = adaptation.Episode(jnp.stack([support, second]))
    state, _ = META_STEP(nets, state, tasks, jax.random.key(5), inner, outer)
    assert_close(state.slow, optax.incremental_update(mean, slow, 0.25))


def test_adaptation_moves_both_networks_and_leaves_the_slow_parameters(
    tiny, support, adapted
):
    nets, slow = tiny
    inner, fast = adapted
    before = jax.tree.map(np.array, slow)
    key = jax.random.fold_in(jax.random.key(5), 0)
    again, _ = ADAPT(nets, slow, adaptation.Episode(support), key, inner)
    jax.tree.map(np.testing.assert_array_equal, slow, before)
    for moved, start in zip(fast, slow, strict=True):
        assert optax.tree.norm(jax.tree.map(jnp.subtract, moved, start)) > 1e-2
    # Nothing is kept from one adaptation to the next, no optimizer state either.
    jax.tree.map(np.testing.assert_array_equal, again, fast)


def test_tasks_in_groups_give_what_they_give_one_after_another():
    nets = networks.build("fusion", image_size=8, width=2, stages=1, latent=5)
    state = reptile.init(nets, jax.random.key(0), optax.sgd(1.0))
    inner = adaptation.Inner(losses.wgan_gp(), optax.sgd(1e-2), 2)
    pixels = jax.random.uniform(jax.random.key(1), (4, 8, 8, 8, 1), minval=-1)
    tasks = adaptation.Episode(pixels[:, :3], pixels[:, 3:])
    meta_step = jax.jit(reptile.meta_step, static_argnums=(0, 4, 5, 6))
    given = nets, state, tasks, jax.random.key(2), inner, optax.sgd(1.0)
    alone, record = meta_step(*given, 1)
    grouped, again = meta_step(*given, 2)
    assert_close(grouped.slow, alone.slow)
    assert_close(again, record, rtol=1e-4)


def test_the_critics_real_images_are_the_others():
    nets, loss = quadratic_task()
    slow = nets.init(jax.random.key(0))
    inner = adaptation.Inner(loss, optax.sgd(RATE), STEPS)
    support = jnp.full((4, 1, 1, 1), 9.0)
    others = jnp.full((6, 1, 1, 1), 0.5)
    episode = adaptation.Episode(support, others)
    fast, _ = adaptation.adapt(nets, slow, episode, jax.random.key(1), inner)
    got = [float(p["value"]) for p in fast]
    np.testing.assert_allclose(got, closed_form(2.0, -3.0, 0.5), rtol=1e-5)


@pytest.mark.parametrize("others", [3, 4, 9])
def test_each_inner_step_takes_fresh_others_without_replacement(tiny, others):
    nets, _ = tiny
    inner = adaptation.Inner(losses.wgan_gp(), optax.sgd(RATE), 50, critic_steps=2)
    noise = adaptation.draw_noise(jax.random.key(0), nets, 4, inner, others)
    assert noise.reals.shape == (50, 2, 4)
    chosen = noise.reals.reshape(-1, 4)
    assert all(len(set(row.tolist())) == min(4, others) for row in chosen)
    assert set(chosen.ravel().tolist()) == set(range(others))
    assert len({tuple(row.tolist()) for row in chosen}) > 5


@pytest.mark.parametrize("others", [0, 9])
def test_the_noise_of_a_step_does_not_depend_on_the_number_of_steps(tiny, others):
    nets, _ = tiny
    inner = adaptation.Inner(losses.LOSSES["wgan_gp"](10.0), optax.sgd(1e-3), 5, 2)
    few, many = (
        adaptation.draw_noise(
            jax.random.key(4), nets, 3, inner._replace(steps=steps), others
        )
        for steps in (5, 32)
    )
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[:5]), few, many)
