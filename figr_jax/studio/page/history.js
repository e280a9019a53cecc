// The batches of images that were shown, kept in the browser across reloads.
//
// An entry has what reproduces a batch (model, its snapshot, drawings as the model sees
// them, steps, latents), the first images as thumbnails, and `from`: the entry that it changed.

import { make, picture, replace } from "./dom.js";

const KEY = "figr-studio-history";
const KEPT = 30; // entries
const SHOWN = 4; // thumbnails of an entry

export const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class History {
  // Calls `restore` with an entry that the user chooses.
  constructor(element, restore) {
    this.element = element;
    this.restore = restore;
    this.current = null;
    this.entries = this.load();
  }

  load() {
    try {
      const entries = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      return entries.filter((entry) => entry.id && entry.batch?.gallery);
    } catch { return this.entries ?? []; } // no storage: for this visit alone
  }

  store(entries) {
    this.entries = entries.slice(-KEPT);
    try { localStorage.setItem(KEY, JSON.stringify(this.entries)); } catch { /* full or forbidden */ }
    this.show();
  }

  // Adds a batch, or replaces the current one if it `amends` that.
  add(batch, images, amends) {
    if (isSame(batch, this.current?.batch)) return;
    const { id, from } = amends && this.current
      ? this.current : { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), from: this.current?.id };
    this.current = { id, from, time: Date.now(), batch, images: images.slice(0, SHOWN) };
    const others = this.load(); // with those of other tabs
    const at = others.findIndex((entry) => entry.id === id);
    if (at < 0) this.store([...others, this.current]);
    else this.store(others.with(at, this.current));
  }

  get previous() { return this.entries.find((entry) => entry.id === this.current?.from); }

  choose(entry) {
    this.current = entry;
    this.show();
    return this.restore(entry.batch);
  }

  // Says that no entry is shown.
  leave() { this.current = null; this.show(); }

  clear() { this.current = null; this.store([]); }

  // Limits the list to models that the server has; the others stay in the storage.
  show(models = this.models) {
    this.models = models;
    const shown = this.entries.filter((entry) => models?.includes(entry.batch.model)).reverse();
    replace(this.element, shown.map((entry) => {
      const { model, steps, gallery } = entry.batch;
      const time = new Date(entry.time).toLocaleTimeString([], { timeStyle: "short" });
      const title = `${time}: ${gallery.items.length} images of ${model}, ${steps} steps`;
      return make("button", {
        className: "batch", title, ariaLabel: title, ariaCurrent: entry.id === this.current?.id,
        onclick: () => this.choose(entry),
      }, ...entry.images.map((image) => picture(image)));
    }));
  }
}
