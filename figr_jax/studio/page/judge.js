// The real-or-generated game.

import { follow, post } from "./api.js";
import { $, pngUrl } from "./dom.js";
import { complain } from "./problem.js";

export class Judge {
  constructor() {
    this.left = []; // rounds to play: name and image
    $("judge-real").onclick = () => this.answer("real");
    $("judge-generated").onclick = () => this.answer("generated");
    document.addEventListener("keydown", (event) => {
      const other = event.ctrlKey || event.metaKey || event.altKey || event.repeat;
      if (other || !$("judge-round").checkVisibility()) return;
      if (event.key.toLowerCase() === "r") this.answer("real");
      if (event.key.toLowerCase() === "g") this.answer("generated");
    });
  }

  async start(model) {
    this.stop();
    $("judge-start").disabled = true;
    const mine = this.turn;
    const sheets = $("judge-kind").value === "sheets";
    try {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const { job } = await post("api/judge", { model, seed, sheets });
      let rounds = [];
      await follow(job, (event) => {
        if (mine !== this.turn) return;
        if (event.type === "waiting") $("judge-status").textContent = `waiting (${event.ahead} ahead of you)`;
        if (event.type === "started") $("judge-status").textContent = "preparing images";
        if (event.type === "step") $("judge-status").textContent = `preparing images: ${event.step} of ${event.steps}`;
        if (event.type === "images") rounds = Object.entries(event.images);
      });
      if (mine !== this.turn) return;
      this.job = job;
      this.left = rounds;
      this.count = rounds.length;
      this.what = sheets ? "left images were" : "last image was";
      $("judge-question").hidden = !sheets;
      $("judge-file").href = `api/jobs/${job}/answers.zip`;
      this.next();
    } catch (error) {
      if (mine !== this.turn) return;
      $("judge-status").textContent = "";
      complain(error);
    } finally {
      if (mine === this.turn) $("judge-start").disabled = false;
    }
  }

  stop() {
    this.turn = Symbol();
    this.left = [];
    $("judge-start").disabled = false;
    $("judge-round").hidden = $("judge-file").hidden = true;
    $("judge-status").textContent = $("judge-truth").textContent = $("judge-score").textContent = "";
  }

  next() {
    const round = this.left[0];
    $("judge-round").hidden = !round;
    $("judge-status").textContent = round ? `${this.count - this.left.length + 1} of ${this.count}` : "finished";
    if (round) $("judge-image").src = pngUrl(round[1]);
  }

  async answer(answer) {
    const [round] = this.left;
    if (!round || this.waits) return; // only one answer per image
    this.waits = true;
    try {
      const reply = await post(`api/jobs/${this.job}/answers`, { image: round[0], answer });
      if (round !== this.left[0]) return; // another game has started
      const right = reply.truth.answer === answer ? "Right" : "Wrong";
      $("judge-truth").textContent =
        `${right}: the ${this.what} ${reply.truth.answer} (${reply.truth.class}).`;
      const { right: count, accuracy, low, high } = reply.score.all;
      const percent = (share) => `${Math.round(100 * share)} %`;
      $("judge-score").textContent = `${count} of ${reply.score.answered} right: ` +
        `${percent(accuracy)} (95 % interval ${percent(low)} to ${percent(high)}; 50 % is guessing)`;
      $("judge-file").hidden = false;
      this.left.shift();
      this.next();
    } catch (error) {
      complain(error);
    } finally {
      this.waits = false;
    }
  }
}
