// Adaptation to the drawings: one job at a time, its progress, then the images.

import { cancel, follow, getModel, post } from "./api.js";
import { $ } from "./dom.js";
import { isSame } from "./history.js";
import { showLikes } from "./likes.js";
import { complain, forgive } from "./problem.js";

const PAUSE = 700; // milliseconds from the last change of a cell to the automatic adaptation

export const showStatus = (status) => { $("status").textContent = status; };

export class Adapter {
  // Calls `record` after new images are shown.
  constructor(cells, gallery, record) {
    Object.assign(this, { cells, gallery, record });
    this.card = null; // of the model
    this.support = null; // drawings of the last adaptation
    this.shown = null; // model, snapshot, drawings and steps of the images in the gallery
    this.job = null; // the running job
    this.turn = 0; // changes with each start and stop, after which earlier events are ignored
  }

  // Switches to a model by its card.
  use(card) { Object.assign(this, { card, support: null }); }

  schedule(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.adapt(), pause);
  }

  // Adapts to changed drawings after a pause; `support` is null while a cell is empty.
  changed(support) {
    clearTimeout(this.timer);
    $("adapt").disabled = !support;
    if (support && !isSame(support, this.support)) this.schedule(PAUSE);
    if (!support && !this.job) showStatus("draw in every box to start");
  }

  end() {
    this.job = null;
    $("cancel").disabled = true;
  }

  // Cancels the running job.
  async stop() {
    ++this.turn;
    clearTimeout(this.timer);
    const { job } = this;
    this.end();
    if (!job) return;
    $("progress").value = 0;
    await cancel(job);
  }

  // Adapts to the drawings; `ready` is called before the images are shown.
  async adapt(ready = () => {}) {
    clearTimeout(this.timer);
    const { card, gallery } = this, { support } = this.cells, steps = Number($("steps").value);
    if (!support) return;
    forgive();
    this.stop().catch(() => {}); // the job may have ended already
    const isNew = !gallery.job || !isSame(support, this.shown.support);
    this.support = support;
    const begin = performance.now(), mine = ++this.turn, { dataset } = gallery.element;
    delete dataset.firstSamples, delete dataset.finished;
    try {
      const body = { model: card.name, support, inner_steps: steps, continues: gallery.job };
      const [{ job, hints }, { changes }] = await Promise.all([
        post("api/adapt", body), getModel(card.name, `/steering/${support.length}`)]);
      if (mine !== this.turn) return void cancel(job).catch(() => {});
      if (hints.length) complain(new Error(hints.join("; ")));
      this.job = job;
      $("cancel").disabled = false;
      await follow(job, (event) => {
        if (mine !== this.turn) return;
        if (event.type === "step") dataset.firstSamples ??= performance.now() - begin;
        this.showProgress(event, isNew);
      });
      if (mine !== this.turn) return;
      showStatus(`step ${steps} of ${steps}`);
      $("progress").value = $("progress").max = steps || 1;
      this.shown = { model: card.name, snapshot: card.snapshot, support, steps };
      gallery.use(job, card.latent, changes);
      if (isNew) gallery.likes = support.map(() => 0);
      ready();
      showLikes(gallery, support);
      const isShown = await gallery.set(gallery.sized(Number($("count").value)));
      if (mine !== this.turn) return;
      dataset.finished = performance.now() - begin; // milliseconds, for measurements
      if (isShown) this.record();
    } catch (error) {
      if (mine !== this.turn) return;
      complain(error);
      showStatus("");
      gallery.endPreview().catch(() => {});
    } finally {
      if (mine === this.turn) this.end();
    }
  }

  // Shows an event of the job; samples only of new drawings, which have no images yet.
  showProgress(event, isNew) {
    if (event.type === "waiting") showStatus(`waiting (${event.ahead} ahead of you)`);
    if (event.type === "started" && isNew) {
      showStatus("preparing (up to a minute the first time for this number of drawings)");
      $("progress").removeAttribute("value");
    }
    if (event.type !== "step") return;
    $("progress").max = event.steps;
    $("progress").value = event.step;
    showStatus(`step ${event.step} of ${event.steps}`);
    if (isNew) this.gallery.preview(event.images);
  }
}
