// Latents: rows of standard normal numbers; interpolation, steering, text encoding.

function normal() { // Box-Muller transform
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return radius * Math.cos(2 * Math.PI * Math.random());
}

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

// Shifts and scales a latent as the sliders say; `unsteer` is the inverse.
export const steer = (latent, shift, by) => latent.map((value, i) => by * (value + shift[i]));
export const unsteer = (row, shift, by) => row.map((value, i) => value / by - shift[i]);

const STRONGEST = 4; // standard deviations of a mixing logit, at the end of a slider

// Returns the shift of latents for the sliders: `likes` in [0, 1], one for each drawing;
// `steering`: the change that raises each drawing's mixing logit by one standard
// deviation. Equal sliders give no shift, because mixing weights depend on differences of logits alone.
export function shiftTowards(likes, steering, size) {
  const mean = likes.reduce((sum, like) => sum + like, 0) / likes.length;
  const shift = new Array(size).fill(0);
  steering.forEach((row, drawing) => row.forEach((value, i) => {
    shift[i] += STRONGEST * (likes[drawing] - mean) * value;
  }));
  return shift;
}

// Encodes a row as float32 in base64: exact, because the server computes in float32.
export const encode = (row) =>
  btoa(String.fromCharCode(...new Uint8Array(new Float32Array(row).buffer)));
export const decode = (text) =>
  [...new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)];
