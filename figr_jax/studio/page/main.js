// The page: its controls, the choice of a model, and the list of batches.

import { Adapter, showStatus } from "./adapter.js";
import { get, getModel } from "./api.js";
import { describe } from "./card.js";
import { Cells } from "./cells.js";
import { $ } from "./dom.js";
import { Gallery } from "./gallery.js";
import { History, isSame } from "./history.js";
import { Judge } from "./judge.js";
import { showLikes } from "./likes.js";
import { run } from "./problem.js";
import "./tabs.js";

const STEP_PAUSE = 150; // milliseconds from the last change of the steps to the adaptation
const MOST_STEPS = 20; // inner steps, unless the model takes more by itself

let card, wanted, example = 0;
const gallery = new Gallery($("gallery"), record);
const batches = new History($("batches"), (batch) => run(() => restore(batch))());
const judge = new Judge();
const cells = new Cells($("cells"), (support) => {
  adapter.changed(support);
  if (cells.touched) $("example-name").textContent = "";
});
const adapter = new Adapter(cells, gallery, record);

// Adds what is shown to the list of batches; replaces the last entry if it `amends` that.
function record(amends = false) {
  batches.add({ ...adapter.shown, gallery: gallery.state }, gallery.images, amends);
  showHistory();
}

function showHistory() {
  $("history").hidden = !$("batches").children.length;
  $("back").disabled = !batches.previous;
}

// Shows a batch of the list: its model, drawings, steps and images.
async function restore({ gallery: state, ...batch }) {
  const isOther = batch.model !== card?.name;
  if (isOther) await choose(batch.model, batch);
  if (card?.name !== batch.model) return; // the user chose another model meanwhile
  if (batch.snapshot !== card.snapshot) {
    batches.leave();
    if (isOther) await adapter.adapt(); // to the example; later it would hide the message
    showHistory();
    throw new Error(`this batch was made with another snapshot of ${batch.model} and cannot be shown`);
  }
  await adapter.stop().catch(() => {});
  adapter.support = batch.support;
  $("steps").value = $("steps-shown").value = batch.steps;
  const ready = () => {
    gallery.state = state;
    $("best").checked = gallery.best;
    $("variation").value = $("variation-shown").value = gallery.variation;
    $("count").value = gallery.items.length;
  };
  if (!isSame(cells.support, batch.support)) {
    await cells.fill(batch.support);
    cells.touched = true;
    $("example-name").textContent = "";
  }
  if (gallery.job && isSame(adapter.shown, batch)) {
    ready();
    showLikes(gallery, batch.support);
    await gallery.refresh();
  } else {
    await adapter.adapt(ready);
  }
  showHistory();
}

const undo = run(async () => {
  if (batches.previous) await batches.choose(batches.previous);
});

// Switches to a model. Shows an example, except in place of the user's drawings, or
// before a batch to restore; a batch of another snapshot cannot be restored.
async function choose(name, batch = null) {
  wanted = name;
  const next = await getModel(name);
  if (name !== wanted) return;
  adapter.stop().catch(() => {});
  card = next;
  adapter.use(card);
  gallery.forget();
  gallery.best = $("best").checked = card.best_of > 1;
  $("best-label").hidden = card.best_of < 2;
  $("best-text").textContent = `Pick the best of ${card.best_of}`;
  $("likes").hidden = true;
  judge.stop();
  $("steps").max = Math.max(MOST_STEPS, card.inner_steps);
  $("steps").value = card.inner_steps;
  $("steps-shown").value = $("steps").value;
  describe(card);
  example = 0;
  if ($("model").value !== card.name) $("model").value = card.name;
  const keeps = batch ? batch.snapshot === card.snapshot : cells.areOwn;
  if (!keeps) { cells.resize(card.shots); cells.clear(); }
  cells.use(card.name);
  $("example").disabled = !card.examples;
  if (card.examples && !keeps) await show(0);
}

async function show(number) {
  const of = card;
  const shown = await getModel(card.name, `/examples/${number}`);
  if (of !== card || number !== example) return; // a later request replaced this one
  await cells.fill(shown.images);
  $("example-name").textContent = `Example: ${shown.class}. The model was not trained on it.`;
}

$("brush").oninput = () => { cells.brush = Number($("brush").value); };
$("eraser").onclick = () => {
  cells.erases = !cells.erases;
  $("eraser").setAttribute("aria-pressed", cells.erases);
};
$("undo").onclick = () => cells.undo();
$("clear").onclick = () => cells.clear();
$("example").onclick = run(() => show(++example));
$("more-cells").onclick = () => cells.resize(cells.cells.length + 1);
$("fewer-cells").onclick = () => cells.resize(cells.cells.length - 1);
document.addEventListener("keydown", (event) => {
  const asks = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z";
  if (!asks || !$("draw").checkVisibility()) return;
  event.preventDefault();
  if ($("choose").contains(event.target)) undo(); else cells.undo();
});
$("adapt").onclick = () => adapter.adapt();
$("cancel").onclick = run(async () => {
  await adapter.stop();
  showStatus("cancelled");
  if (gallery.job) $("steps").value = $("steps-shown").value = adapter.shown.steps;
  await gallery.endPreview();
});
// Shows the items again, with other settings.
const redraw = async (items) => { if (gallery.job && await gallery.set(items)) record(); };
$("count").onchange = run(() => redraw(gallery.sized(Number($("count").value))));
$("best").onchange = run(() => {
  gallery.best = $("best").checked;
  return redraw(gallery.items);
});
$("reroll").onclick = run(() => gallery.reroll());
$("interpolate").onclick = run(() => gallery.blend());
$("back").onclick = undo;
$("forget").onclick = () => { batches.clear(); showHistory(); };
$("steps").oninput = () => {
  $("steps-shown").value = $("steps").value;
  adapter.schedule(STEP_PAUSE);
};
$("variation").oninput = run(() => {
  gallery.variation = Number($("variation").value);
  $("variation-shown").value = gallery.variation;
  return gallery.refresh();
});
$("variation").onchange = run(() => redraw(gallery.items));
for (const button of document.querySelectorAll("[data-format]")) {
  button.onclick = run(() => gallery.export(
    button.dataset.format, Number($("size").value), $("transparent").checked));
}
$("judge-start").onclick = run(() => judge.start(card.name));
$("model").onchange = run(async () => {
  try { await choose($("model").value); } finally { $("model").value = card.name; }
});
run(async () => {
  if (location.search) history.replaceState(null, "", location.pathname); // hides the token
  const names = await get("api/models");
  $("model").replaceChildren(...names.map((name) => new Option(name)));
  batches.show(names);
  for (const entry of batches.entries.toReversed()) {
    const { model, snapshot } = entry.batch;
    if (!names.includes(model)) continue;
    const found = await getModel(model).catch(() => null);
    if (found?.snapshot === snapshot) return batches.choose(entry);
  }
  await choose(names[0]);
})();
