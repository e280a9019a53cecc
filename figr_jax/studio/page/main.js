// The page: event handlers.

import { cancel, follow, get, post } from "./api.js";
import { Cells } from "./cells.js";
import { Gallery } from "./gallery.js";
import { Judge } from "./judge.js";

const $ = (id) => document.getElementById(id);
const PAUSE = 700; // milliseconds from the last change of a cell to the automatic adaptation

function complain(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
}

let card, wanted, timer, turn = 0, running = null, example = 0, adapted = null;
const gallery = new Gallery($("gallery"), complain);
const judge = new Judge(complain);
const cells = new Cells($("cells"), (support) => {
  clearTimeout(timer);
  $("adapt").disabled = !support;
  if (support && JSON.stringify(support) !== adapted) timer = setTimeout(adapt, PAUSE);
  if (!support && !running) showStatus("draw in every box to start");
  if (cells.touched) $("example-name").textContent = "";
}, complain);

const run = (work) => async (event) => {
  $("problem").hidden = true;
  try { await work(event); } catch (error) { complain(error); }
};

const showStatus = (status) => { $("status").textContent = status; };

// Cancels the running job; its later events are ignored.
async function stop() {
  ++turn;
  clearTimeout(timer);
  const job = running;
  running = null;
  $("cancel").disabled = true;
  $("progress").value = 0;
  if (job) await cancel(job);
}

async function adapt() {
  clearTimeout(timer);
  const support = cells.support;
  if (!support) return;
  $("problem").hidden = true;
  stop().catch(() => {}); // the job may have ended already
  adapted = JSON.stringify(support);
  const begin = performance.now(), mine = ++turn, { dataset } = gallery.element;
  delete dataset.firstSamples, delete dataset.finished;
  try {
    const body = { model: card.name, support, inner_steps: Number($("steps").value) };
    const { job, hints } = await post("api/adapt", body);
    if (mine !== turn) return void cancel(job).catch(() => {});
    if (hints.length) complain(new Error(hints.join("; ")));
    running = job;
    $("cancel").disabled = false;
    const last = await follow(job, (event) => {
      if (mine !== turn) return;
      if (event.type === "waiting") showStatus(`waiting (${event.ahead} ahead of you)`);
      if (event.type === "started") {
        showStatus("preparing (up to a minute the first time for this number of drawings)");
        $("progress").removeAttribute("value");
      }
      if (event.type !== "step") return;
      if (event.step === 1) dataset.firstSamples = performance.now() - begin;
      $("progress").max = event.steps;
      $("progress").value = event.step;
      showStatus(`step ${event.step} of ${event.steps}`);
      gallery.preview(event.images);
    });
    if (mine !== turn) return;
    if (last.type !== "done") throw new Error(last.error ?? last.type);
    gallery.job = job;
    gallery.resize(Number($("count").value));
    await gallery.refresh();
    dataset.finished = performance.now() - begin; // milliseconds, for measurements
  } catch (error) {
    if (mine !== turn) return;
    complain(error);
    showStatus("");
    gallery.refresh().catch(() => {}); // shows the earlier images, if there are any
  } finally {
    if (mine === turn) {
      running = null;
      $("cancel").disabled = true;
    }
  }
}

async function choose(name) {
  wanted = name;
  const next = await get(`api/models/${encodeURIComponent(name)}`);
  if (name !== wanted) return;
  stop().catch(() => {});
  card = next;
  gallery.size = card.latent;
  gallery.forget();
  judge.stop();
  $("steps").value = card.inner_steps;
  $("steps-shown").value = $("steps").value;
  describe();
  adapted = null;
  example = 0;
  const keeps = cells.areOwn;
  if (!keeps) { cells.resize(card.shots); cells.clear(); }
  cells.use(card.name);
  $("example").disabled = !card.examples;
  if (card.examples && !keeps) await show(0);
}

async function show(number) {
  const of = card;
  const shown = await get(`api/models/${encodeURIComponent(card.name)}/examples/${number}`);
  if (of !== card || number !== example) return; // a later request replaced this one
  $("example-name").textContent = `Example: ${shown.class}. The model was not trained on it.`;
  await cells.fill(shown.images);
}

function describe() {
  const shown = {
    "Model (snapshot)": `${card.name} (${card.snapshot})`,
    "Trained on": `${card.dataset}, ${card.image_size}x${card.image_size}`,
    "Meta-steps in training": card.meta_steps ?? "unknown",
    "Networks": card.networks,
    "Made for": `${card.shots} drawings, ${card.inner_steps} inner steps`,
    "Classes held out from training": card.heldout_classes,
    "Licence of the training images": card.licence || "unknown",
    "Last evaluation": card.report ? `${card.report.date}, ${card.report.classes} classes`
      : "none; run python -m figr_jax.evaluate",
  };
  $("card").replaceChildren(...Object.entries(shown).flatMap(([name, value]) => {
    const [term, text] = ["dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    text.textContent = value;
    return [term, text];
  }));
  $("figures").hidden = !card.report;
  if (!card.report) return;
  const arms = Object.entries(card.report.arms), metrics = Object.keys(arms[0][1]);
  const row = (tag, values) => {
    const line = document.createElement("tr");
    line.append(...values.map((value) => {
      const cell = document.createElement(tag);
      cell.textContent = value;
      return cell;
    }));
    return line;
  };
  const form = ({ mean, low, high }) => [mean, low, high].map((x) => x.toFixed(2)).join(" / ");
  $("figures").replaceChildren(
    row("th", ["mean / low / high", ...metrics.map((metric) => metric.replace("_", " "))]),
    ...arms.map(([name, arm]) => row("td", [name, ...metrics.map((metric) => arm[metric] ? form(arm[metric]) : "")])));
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
$("adapt").onclick = adapt;
$("cancel").onclick = run(async () => {
  await stop();
  showStatus("cancelled");
  await gallery.refresh();
});
$("count").onchange = run(() => { gallery.resize(Number($("count").value)); return gallery.refresh(); });
$("reroll").onclick = run(() => gallery.reroll());
$("interpolate").onclick = run(() => gallery.interpolate());
$("steps").oninput = () => { $("steps-shown").value = $("steps").value; };
$("steps").onchange = adapt;
$("variation").oninput = () => { $("variation-shown").value = $("variation").value; };
$("variation").onchange = run(() => {
  gallery.variation = Number($("variation").value);
  return gallery.refresh();
});
for (const button of document.querySelectorAll("[data-format]")) {
  button.onclick = run(() => gallery.export(
    button.dataset.format, Number($("size").value), $("transparent").checked));
}
$("judge-start").onclick = run(() => judge.start(card.name));
$("model").onchange = run(async () => {
  try { await choose($("model").value); } finally { $("model").value = card.name; }
});
const tabs = [...document.querySelectorAll("[role=tab]")];
const open = (tab) => {
  for (const other of tabs) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
};
for (const [i, tab] of tabs.entries()) {
  tab.onclick = () => open(tab);
  tab.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    open(next);
    next.focus();
  };
}

run(async () => {
  if (location.search) history.replaceState(null, "", location.pathname); // hides the token
  const names = await get("api/models");
  $("model").replaceChildren(...names.map((name) => new Option(name)));
  await choose(names[0]);
})();
