// Client of the server's JSON API. Every failure is an Error with one sentence.

import { make } from "./dom.js";

async function check(response) {
  if (response.ok) return response;
  let message = `the server answered with error ${response.status}; reload the page and try again`;
  try { message = (await response.json()).error ?? message; } catch { /* no JSON */ }
  throw new Error(message);
}

const UNREACHABLE = "cannot reach the server; check that it is running, then reload the page";

async function ask(path, options) {
  try {
    return await check(await fetch(path, options));
  } catch (error) {
    throw error instanceof TypeError ? new Error(UNREACHABLE) : error;
  }
}

export const get = async (path) => (await ask(path)).json();

export const getModel = (name, part = "") => get(`api/models/${encodeURIComponent(name)}${part}`);

const send = (path, body) => ask(path, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const post = async (path, body) => (await send(path, body)).json();

export const cancel = (job) => ask(`api/jobs/${job}`, { method: "DELETE" });

// Calls `handle` with each event of a job; resolves when it is done.
export function follow(job, handle) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`api/jobs/${job}/events`);
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      handle(event);
      if (!["done", "failed", "cancelled"].includes(event.type)) return;
      source.close();
      if (event.type === "done") resolve();
      else reject(new Error(event.error ?? event.type));
    };
    source.onerror = () => {
      source.close();
      reject(new Error(UNREACHABLE));
    };
  });
}

export async function download(path, body) {
  const response = await send(path, body);
  const name = /filename="(.*)"/.exec(response.headers.get("Content-Disposition"))[1];
  const link = make("a", { href: URL.createObjectURL(await response.blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
