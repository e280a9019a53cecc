"""PyTorch peer of figr_jax: the same networks, losses and inner loop, eager.

Used by the parity test and the benchmark. The module names give the state-dict keys of
the published code; images are channels-first.
"""

import torch
from torch import nn
from torch.nn import functional as F


def _norm(channels, size):
    return nn.LayerNorm((channels, size, size))


class _ResidualStages(nn.Module):
    """Shared part of the ResNet generator and critic: stages of two blocks each."""

    def _add_stages(self, channels, sizes):
        """Adds modules for stages of `channels[i] -> channels[i + 1]` at `sizes[i]`."""
        stages = list(zip(channels, channels[1:], sizes, strict=False))
        for k in range(1, 5):
            convs = [nn.Conv2d(c, c, 3, padding=1) for c, _, _ in stages]
            setattr(self, f"convs{k}", nn.ModuleList(convs))
            norms = [_norm(c, size) for c, _, size in stages]
            setattr(self, f"norm{k}", nn.ModuleList(norms))
            activs = [nn.PReLU(c) for c, _, _ in stages]
            setattr(self, f"activ{k}", nn.ModuleList(activs))
        self.transitions_conv = nn.ModuleList(
            nn.Conv2d(c, d, 3, padding=1) for c, d, _ in stages
        )
        self.transitions_norm = nn.ModuleList(_norm(d, size) for _, d, size in stages)
        self.transitions_activ = nn.ModuleList(nn.PReLU(d) for _, d, _ in stages)

    def _layer(self, k, i, x):
        conv, activ, norm = (
            getattr(self, f"{kind}{k}")[i] for kind in ("convs", "activ", "norm")
        )
        return norm(activ(conv(x)))

    def _stage(self, i, x):
        x = x + self._layer(2, i, self._layer(1, i, x))
        x = x + self._layer(4, i, self._layer(3, i, x))
        x = self.transitions_activ[i](self.transitions_conv[i](x))
        return self.transitions_norm[i](x)


class _Start(nn.Module):
    """Dense first layer of the generators."""

    def _add_start(self, latent, channels, size):
        self.shape = (channels, size, size)
        features = channels * size * size
        self.initial_linear = nn.Linear(latent, features)
        self.initial_activ = nn.PReLU(features)
        self.initial_norm = nn.LayerNorm(features)

    def _start(self, z):
        x = self.initial_norm(self.initial_activ(self.initial_linear(z)))
        return x.view(-1, *self.shape)


class ResNetGenerator(_Start, _ResidualStages):
    """Latents `[N, latent]` to images `[N, C, H, W]` in [-1, 1]."""

    def __init__(self, image_size, image_channels, width, stages, latent):
        """Makes the modules; see `figr_jax.networks.resnet.Generator`."""
        super().__init__()
        channels = [width << (stages - i) for i in range(stages + 1)]
        sizes = [image_size >> (stages - i) for i in range(stages)]
        self._add_start(latent, channels[0], sizes[0])
        self._add_stages(channels, sizes)
        self.final_conv = nn.Conv2d(width, image_channels, 5, padding=2)

    def forward(self, z):
        """Generates the images."""
        x = self._start(z)
        for i in range(len(self.convs1)):
            x = F.interpolate(self._stage(i, x), scale_factor=2)
        return torch.tanh(self.final_conv(x))


class ResNetCritic(_ResidualStages):
    """Images `[N, C, H, W]` to values `[N]`."""

    def __init__(self, image_size, image_channels, width, stages):
        """Makes the modules; see `figr_jax.networks.resnet.Critic`."""
        super().__init__()
        channels = [width << i for i in range(stages + 1)]
        self.initial_conv = nn.Conv2d(image_channels, width, 7, padding=3)
        self.initial_activ = nn.PReLU(width)
        self.initial_norm = _norm(width, image_size)
        self._add_stages(channels, [image_size >> i for i in range(stages)])
        self.final_linear = nn.Linear(channels[-1], 1)

    def forward(self, x):
        """Computes the critic values of the images."""
        x = self.initial_norm(self.initial_activ(self.initial_conv(x)))
        for i in range(len(self.convs1)):
            x = F.avg_pool2d(self._stage(i, x), 2)
        return self.final_linear(x.mean((2, 3)))[:, 0]


class DCGANGenerator(_Start):
    """Latents `[N, latent]` to images `[N, C, H, W]` in [-1, 1]."""

    def __init__(self, image_size, image_channels, width, stages, latent):
        """Makes the modules; see `figr_jax.networks.dcgan.Generator`."""
        super().__init__()
        channels = [width << (stages - i) for i in range(stages + 1)]
        sizes = [image_size >> (stages - i) for i in range(stages)]
        self._add_start(latent, channels[0], sizes[0])
        self.convs = nn.ModuleList(
            nn.Conv2d(c, c // 2, 5, padding=2) for c in channels[:-1]
        )
        self.activ = nn.ModuleList(nn.PReLU(c) for c in channels[1:])
        self.norm = nn.ModuleList(map(_norm, channels[1:], sizes))
        self.final_conv = nn.Conv2d(width, image_channels, 5, padding=2)

    def forward(self, z):
        """Generates the images."""
        x = self._start(z)
        for conv, activ, norm in zip(self.convs, self.activ, self.norm, strict=True):
            x = F.interpolate(norm(activ(conv(x))), scale_factor=2)
        return torch.tanh(self.final_conv(x))


class DCGANCritic(nn.Module):
    """Images `[N, C, H, W]` to values `[N]`."""

    def __init__(self, image_size, image_channels, width, stages):
        """Makes the modules; see `figr_jax.networks.dcgan.Critic`."""
        super().__init__()
        channels = [width << i for i in range(stages + 1)]
        sizes = [image_size >> i for i in range(stages + 1)]
        self.initial_conv = nn.Conv2d(image_channels, width, 5, padding=2)
        self.initial_norm = _norm(width, image_size)
        self.initial_activ = nn.PReLU(width)
        self.convs = nn.ModuleList(
            nn.Conv2d(c, 2 * c, 5, padding=2) for c in channels[:-1]
        )
        self.norm = nn.ModuleList(map(_norm, channels[1:], sizes[:-1]))
        self.activ = nn.ModuleList(nn.PReLU(c) for c in channels[1:])
        self.final_linear = nn.Linear(channels[-1] * sizes[-1] ** 2, 1)

    def forward(self, x):
        """Computes the critic values of the images."""
        x = self.initial_activ(self.initial_norm(self.initial_conv(x)))
        for conv, norm, activ in zip(self.convs, self.norm, self.activ, strict=True):
            x = F.avg_pool2d(activ(norm(conv(x))), 2)
        return self.final_linear(x.flatten(1))[:, 0]


def build(family, image_size, channels=1, width=64, stages=4, latent=100):
    """Builds generator and critic of a family, "resnet" or "dcgan"."""
    generator, critic = {
        "resnet": (ResNetGenerator, ResNetCritic),
        "dcgan": (DCGANGenerator, DCGANCritic),
    }[family]
    return (
        generator(image_size, channels, width, stages, latent),
        critic(image_size, channels, width, stages),
    )


def gradient_penalty(critic, real, fake, epsilon, dims):
    """Computes `mean (norm of the input gradient - 1)^2`, the norm over `dims`."""
    epsilon = epsilon.view(-1, 1, 1, 1)
    inputs = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
    return ((gradient.norm(2, dim=dims) - 1) ** 2).mean()


def squared_slope(critic, images):
    """Computes the mean squared norm of the input gradient at some images."""
    inputs = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
    return (gradient**2).sum((1, 2, 3)).mean()


def critic_loss(name, critic, real, fake, epsilon, weight=10.0):
    """Computes the named critic loss and its penalty; see `figr_jax.losses`."""
    values = critic(torch.cat([real, fake]))
    real_values, fake_values = values.chunk(2)
    if name == "non_saturating":
        loss = F.softplus(-real_values).mean() + F.softplus(fake_values).mean()
        return loss, torch.zeros(())
    if name == "relativistic":
        penalty = squared_slope(critic, real) + squared_slope(critic, fake)
        loss = F.softplus(fake_values - real_values).mean()
        return loss + weight / 2 * penalty, penalty
    if name == "wgan_gp":
        penalty = gradient_penalty(critic, real, fake, epsilon, (1, 2, 3))
        return fake_values.mean() - real_values.mean() + weight * penalty, penalty
    targets = torch.cat([torch.ones(len(real)), -torch.ones(len(fake))])
    penalty = gradient_penalty(critic, real, fake, epsilon, 1)
    return (values * targets.to(values)).mean() + weight * penalty, penalty


def generator_loss(name, critic, real, fake):
    """Computes the named generator loss; see `figr_jax.losses`."""
    values = critic(fake)
    if name == "relativistic":
        return F.softplus(critic(real) - values).mean()
    if name == "non_saturating":
        return F.softplus(-values).mean()
    return values.mean() * (1 if name == "wgan_gp_published" else -1)


def adapt(generator, critic, support, noise, loss, learning_rate, weight=10.0):
    """Runs the inner loop in place, with plain SGD.

    Args:
      generator: module.
      critic: module.
      support: `[shots, C, H, W]`.
      noise: `(critic_latents, epsilon, generator_latents)` for each inner step, of
        shapes `[shots, latent]`, `[shots]`, `[shots, latent]`.
      loss: name of the loss.
      learning_rate: learning rate of SGD.
      weight: weight of the gradient penalty.

    Returns:
      `(critic loss, generator loss, penalty)` of each inner step, floats.
    """
    critic_optimizer = torch.optim.SGD(critic.parameters(), learning_rate)
    generator_optimizer = torch.optim.SGD(generator.parameters(), learning_rate)
    trace = []
    for critic_latents, epsilon, generator_latents in noise:
        fake = generator(critic_latents).detach()
        d_loss, penalty = critic_loss(loss, critic, support, fake, epsilon, weight)
        critic_optimizer.zero_grad()
        d_loss.backward()
        critic_optimizer.step()

        g_loss = generator_loss(loss, critic, support, generator(generator_latents))
        generator_optimizer.zero_grad()
        g_loss.backward()
        generator_optimizer.step()
        trace.append((d_loss.item(), g_loss.item(), penalty.item()))
    return trace
