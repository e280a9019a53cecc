// The line at the top that says what went wrong.

import { $ } from "./dom.js";

export function complain(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
}

export const forgive = () => { $("problem").hidden = true; };

// Makes an event handler that clears the line and reports the error of `work`.
export const run = (work) => async (event) => {
  forgive();
  try { await work(event); } catch (error) { complain(error); }
};
