// The grid of generated images: pin, replace, steer, blend, export.

import { download, post } from "./api.js";
import { make, picture, replace } from "./dom.js";
import { between, decode, encode, near, shiftTowards, steer, unsteer } from "./latents.js";
import { run } from "./problem.js";

const BLENDED = 8; // images of a blend, with its two ends
const SEEDS = 2 ** 32;

export class Gallery {
  // Calls `changed` after each change by the user: with true if only a pin changed.
  constructor(element, changed) {
    Object.assign(this, { element, changed });
    this.variation = 1;
    this.best = false; // lets the model's critic choose among candidates
    this.forget();
  }

  forget() {
    this.use(null, 0, []);
    this.seed = 0;
    this.likes = []; // positions of the sliders, one for each drawing
    // An item has a `latent`, and its `number` if that was drawn with the seed. `pinned`
    // is the row that it shows while it is pinned: sliders do not move it.
    this.items = [];
    this.blended = 0; // number of items in the first row, which is a blend
    this.images = []; // of the items, as PNG files in base64
    this.element.replaceChildren();
  }

  // Switches to the images of a job.
  use(job, size, steering) { Object.assign(this, { job, size, steering }); }

  get pins() { return this.items.filter((item) => item.pinned); }
  get shift() { return shiftTowards(this.likes, this.steering, this.size); }
  row(item) { return item.pinned ?? steer(item.latent, this.shift, this.variation); }
  // Makes an item that shows a row under the present sliders.
  item(row) { return { latent: unsteer(row, this.shift, this.variation) }; }

  // Returns the items for a grid of another size: pinned ones first, then the rest.
  sized(count) {
    if (this.items.length === count) return this.items;
    const rest = this.items.filter((item) => !item.pinned);
    const items = [...this.pins, ...rest].slice(0, count);
    const used = new Set(items.map((item) => item.number));
    for (let number = 0; items.length < count; ++number)
      if (!used.has(number)) items.push({ number });
    return items;
  }

  // Shows items; draws the latents of those with a number. The choice of the best ones
  // depends on the adapted model. Returns whether the items are shown: not if others, or
  // those of another job, took their place meanwhile.
  async set(items, seed = this.seed, blended = items === this.items ? this.blended : 0) {
    const { job } = this, drawn = items.filter((item) => item.number !== undefined);
    if (drawn.length) {
      const count = 1 + Math.max(...drawn.map((item) => item.number));
      const { latents } = await post(`api/jobs/${job}/latents`, { seed, count, best: this.best });
      if (job !== this.job) return false;
      for (const item of drawn) item.latent = latents[item.number];
    }
    Object.assign(this, { items, seed, blended });
    await this.refresh();
    return job === this.job && items === this.items;
  }

  // Replaces the unpinned items by `make(index)`.
  async replace(make, seed) {
    this.need();
    const items = this.items.map((item, i) => item.pinned ? item : make(i));
    if (await this.set(items, seed)) this.changed();
  }

  reroll() {
    for (const item of this.pins) delete item.number; // it was of the earlier seed
    return this.replace((number) => ({ number }), Math.floor(Math.random() * SEEDS));
  }

  moreLike(chosen) {
    chosen.pinned = this.row(chosen);
    return this.replace(() => this.item(near(chosen.pinned)));
  }

  // Shows the way from one pinned image to another in the first row.
  async blend() {
    const [first, second, third] = this.pins;
    if (!second || third) throw new Error("pin exactly two images, then blend them");
    const way = Array.from({ length: BLENDED - 2 }, (_, i) =>
      this.item(between(first.pinned, second.pinned, (i + 1) / (BLENDED - 1))));
    const rest = this.items.filter((item) => !item.pinned);
    const items = [first, ...way, second, ...rest].slice(0, this.items.length);
    if (await this.set(items, this.seed, BLENDED)) this.changed();
  }

  need() {
    if (!this.job) throw new Error("there are no images yet; press Generate first");
  }

  // Shows samples during adaptation; they cannot be pinned yet.
  preview(images) {
    this.element.replaceChildren(...images.map((image, i) =>
      make("div", { className: "shot" }, picture(image, `Preview ${i + 1}`))));
  }

  // Shows the images, if there are any, in place of a preview.
  endPreview() {
    if (!this.job) this.element.replaceChildren();
    return this.refresh();
  }

  // Shows the images. While a request is running, further calls wait for one more.
  refresh() {
    this.stale = true;
    this.refreshing ??= this.update().finally(() => { this.refreshing = null; });
    return this.refreshing;
  }

  async update() {
    while (this.stale) {
      this.stale = false;
      const { job, items } = this;
      if (!job) return;
      const { images } = await post(`api/jobs/${job}/images`, { latents: items.map((x) => this.row(x)) });
      if (job !== this.job || items !== this.items) { this.stale = true; continue; }
      this.images = images.map(({ image }) => image);
      const shots = images.map((image, i) => this.show(image, i));
      if (this.blended) {
        shots.unshift(make("div", {
          className: "blend", role: "group",
          ariaLabel: "Blend from the first pinned image to the second",
        }, ...shots.splice(0, this.blended)));
      }
      replace(this.element, shots);
    }
  }

  show({ image, nearest, similarity, copy }, i) {
    const item = this.items[i], percent = `${Math.round(100 * similarity)} %`;
    const alt = `Image ${i + 1}: similarity to drawing ${nearest + 1}: ${percent}`;
    const pin = make("button", {
      className: "pin", ariaPressed: Boolean(item.pinned),
      onclick: run(async () => {
        item.pinned = item.pinned ? null : this.row(item);
        pin.ariaPressed = Boolean(item.pinned);
        this.changed(true);
        if (!item.pinned) await this.refresh(); // it follows the sliders again
      }),
    }, picture(image, copy ? `${alt}, a copy` : alt));
    const near = make(copy ? "b" : "span", {
      title: `Similarity to drawing ${nearest + 1}: ${percent}`,
    }, `Drawing ${nearest + 1}: ${copy ? "copy" : percent}`);
    const like = make("button", {
      className: "like", title: "Replaces the unpinned images with variations of this one",
      ariaLabel: `More like this: image ${i + 1}`, onclick: run(() => this.moreLike(item)),
    }, "More like this");
    return make("div", { className: "shot" }, pin, make("div", { className: "near" }, near, like));
  }

  // The state as JSON, and back: rows of latents are exact.
  get state() {
    const items = this.items.map(({ latent, number, pinned }) =>
      ({ latent: encode(latent), number, pinned: pinned ? encode(pinned) : null }));
    const { seed, best, variation, likes, blended } = this;
    return { seed, best, variation, likes: [...likes], blended, items };
  }

  set state({ items, ...rest }) {
    Object.assign(this, structuredClone(rest));
    this.items = items.map(({ latent, number, pinned }) =>
      ({ latent: decode(latent), number, pinned: pinned && decode(pinned) }));
  }

  export(format, size, transparent) {
    this.need();
    const chosen = this.pins.length ? this.pins : this.items;
    const body = { latents: chosen.map((item) => this.row(item)), format, size, transparent };
    return download(`api/jobs/${this.job}/export`, body);
  }
}
