// Latents: rows of standard normal numbers, and interpolation between them.

function normal() { // Box-Muller transform
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return radius * Math.cos(2 * Math.PI * Math.random());
}

export const draw = (size) => Array.from({ length: size }, normal);

// Samples a latent near another one; the share `far` of its variance is new.
export const near = (latent, far = 0.2) =>
  latent.map((value) => Math.sqrt(1 - far) * value + Math.sqrt(far) * normal());

// Interpolates on the arc between two latents, which keeps their length.
export function between(first, second, share) {
  const length = (z) => Math.hypot(...z);
  const dot = first.reduce((sum, value, i) => sum + value * second[i], 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot / (length(first) * length(second)))));
  if (angle < 1e-6) return first;
  const [a, b] = [Math.sin((1 - share) * angle), Math.sin(share * angle)];
  return first.map((value, i) => (a * value + b * second[i]) / Math.sin(angle));
}

export const scale = (latent, by) => latent.map((value) => by * value);
