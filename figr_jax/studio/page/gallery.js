// The grid of generated images: pin, replace, interpolate, export.

import { download, post } from "./api.js";
import { between, draw, near, scale } from "./latents.js";

export class Gallery {
  constructor(element, complain) {
    this.element = element;
    this.complain = complain;
    this.job = null;
    this.size = 0; // of a latent
    this.variation = 1;
    this.items = []; // { latent, pinned }
  }

  get pins() { return this.items.filter((item) => item.pinned); }

  resize(count) {
    const pinned = this.pins.slice(0, count), rest = this.items.filter((item) => !item.pinned);
    this.items = [...pinned, ...rest].slice(0, count);
    while (this.items.length < count) this.items.push({ latent: draw(this.size) });
  }

  forget() { this.items = []; this.job = null; this.element.replaceChildren(); }

  replace(make) {
    this.items.filter((item) => !item.pinned).forEach((item, i) => { item.latent = make(i); });
    return this.refresh();
  }

  reroll() { return this.replace(() => draw(this.size)); }

  moreLike(chosen) {
    chosen.pinned = true;
    return this.replace(() => near(chosen.latent));
  }

  interpolate() {
    const [first, second, third] = this.pins;
    if (!second || third) throw new Error("pin exactly two images, then blend them");
    const rest = this.items.filter((item) => !item.pinned);
    this.items = [first, ...rest, second]; // shows the interpolation in order
    return this.replace((i) => between(first.latent, second.latent, (i + 1) / (rest.length + 1)));
  }

  scaled(items) { return items.map((item) => scale(item.latent, this.variation)); }

  // Shows samples during adaptation; they cannot be pinned yet.
  preview(images) {
    this.element.replaceChildren(...images.map((image, i) => {
      const shot = document.createElement("div");
      shot.className = "shot";
      const picture = document.createElement("img");
      picture.src = `data:image/png;base64,${image}`;
      picture.alt = `Preview ${i + 1}`;
      shot.append(picture);
      return shot;
    }));
  }

  async refresh() {
    if (!this.job) return this.element.replaceChildren();
    const asked = this.asked = Symbol();
    const body = { latents: this.scaled(this.items) };
    const { images } = await post(`api/jobs/${this.job}/images`, body);
    if (asked !== this.asked) return; // a later request is running
    const buttons = () => [...this.element.querySelectorAll("button")];
    const focused = buttons().indexOf(document.activeElement);
    this.element.replaceChildren(...images.map((image, i) => this.show(image, i)));
    buttons()[focused]?.focus({ preventScroll: true }); // keeps the keyboard focus
  }

  show({ image, nearest, likeness, copy }, i) {
    const item = this.items[i], shot = document.createElement("div");
    const percent = `${Math.round(100 * likeness)} %`;
    shot.className = "shot";
    const pin = document.createElement("button");
    pin.className = "pin";
    pin.setAttribute("aria-pressed", Boolean(item.pinned));
    pin.onclick = () => {
      item.pinned = !item.pinned;
      pin.setAttribute("aria-pressed", item.pinned);
    };
    const picture = document.createElement("img");
    picture.src = `data:image/png;base64,${image}`;
    picture.alt = `Image ${i + 1}: similarity to drawing ${nearest + 1}: ${percent}` +
      (copy ? ", a copy" : "");
    pin.append(picture);
    const under = document.createElement("div");
    under.className = "near";
    const text = document.createElement(copy ? "b" : "span");
    text.textContent = `Drawing ${nearest + 1}: ${copy ? "copy" : percent}`;
    text.title = `Similarity to drawing ${nearest + 1}: ${percent}`;
    const like = document.createElement("button");
    like.className = "like";
    like.textContent = "More like this";
    like.title = "Replaces the unpinned images with variations of this one";
    like.setAttribute("aria-label", `More like image ${i + 1}`);
    like.onclick = () => this.moreLike(item).catch(this.complain);
    under.append(text, like);
    shot.append(pin, under);
    return shot;
  }

  export(format, size, transparent) {
    if (!this.job) throw new Error("there are no images yet; press Generate first");
    const chosen = this.pins.length ? this.pins : this.items;
    const body = { latents: this.scaled(chosen), format, size, transparent };
    return download(`api/jobs/${this.job}/export`, body);
  }
}
