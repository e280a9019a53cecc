// The game of real or generated.

import { follow, post } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Judge {
  constructor(complain) {
    this.complain = complain;
    this.left = [];
    $("judge-real").onclick = () => this.answer("real");
    $("judge-generated").onclick = () => this.answer("generated");
    document.addEventListener("keydown", (event) => {
      if ($("judge-round").checkVisibility() && !event.ctrlKey && !event.metaKey) {
        if (event.key === "r") this.answer("real");
        if (event.key === "g") this.answer("generated");
      }
    });
  }

  async start(model) {
    $("judge-start").disabled = true;
    $("judge-truth").textContent = $("judge-score").textContent = "";
    try {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const { job } = await post("api/judge", { model, seed });
      const last = await follow(job, (event) => {
        if (event.type === "waiting") $("judge-status").textContent = `${event.ahead} before you`;
        if (event.type === "step") $("judge-status").textContent = `preparing ${event.step} of ${event.steps}`;
        if (event.type === "images") this.left = Object.entries(event.images);
      });
      if (last.type === "failed") throw new Error(last.error);
      this.job = job;
      this.count = this.left.length;
      $("judge-file").href = `api/jobs/${job}/answers.zip`;
      this.next();
    } catch (error) {
      $("judge-status").textContent = "";
      this.complain(error);
    }
    $("judge-start").disabled = false;
  }

  stop() {
    this.left = [];
    $("judge-round").hidden = $("judge-file").hidden = true;
    $("judge-status").textContent = $("judge-truth").textContent = $("judge-score").textContent = "";
  }

  next() {
    const round = this.left[0];
    $("judge-round").hidden = !round;
    $("judge-status").textContent = round ? `${this.count - this.left.length + 1} of ${this.count}` : "all judged";
    if (round) $("judge-image").src = `data:image/png;base64,${round[1]}`;
  }

  async answer(answer) {
    const round = this.left.shift();
    if (!round) return;
    try {
      const told = await post(`api/jobs/${this.job}/answers`, { image: round[0], answer });
      const right = told.truth.answer === answer ? "Right" : "No";
      $("judge-truth").textContent = `${right}: it was ${told.truth.answer}, ${told.truth.class}.`;
      const { right: count, accuracy, low, high } = told.score.all;
      const percent = (share) => `${Math.round(100 * share)} %`;
      $("judge-score").textContent = `${count} of ${told.score.answered} right: ` +
        `${percent(accuracy)} (95 % interval ${percent(low)} to ${percent(high)}; 50 % is guessing)`;
      $("judge-file").hidden = false;
      this.next();
    } catch (error) {
      this.left.unshift(round);
      this.complain(error);
    }
  }
}
