// The facts about a model, on their tab.

import { $, make } from "./dom.js";

// Shows a card of the API.
export function describe(card) {
  const facts = {
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
  $("card").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, value)]));
  $("figures").hidden = !card.report;
  if (!card.report) return;
  const arms = Object.entries(card.report.arms), metrics = Object.keys(arms[0][1]);
  const row = (tag, values) => make("tr", {}, ...values.map((value) => make(tag, {}, value)));
  const form = ({ mean, low, high }) => [mean, low, high].map((x) => x.toFixed(2)).join(" / ");
  $("figures").replaceChildren(
    row("th", ["mean / low / high", ...metrics.map((metric) => metric.replace("_", " "))]),
    ...arms.map(([name, arm]) => row("td", [name, ...metrics.map((metric) => arm[metric] ? form(arm[metric]) : "")])));
}
