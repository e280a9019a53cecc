// Client of the server's JSON API. Every failure is an Error with one sentence.

async function check(response) {
  if (response.ok) return response;
  let message = `the server answered with error ${response.status}; reload the page and try again`;
  try { message = (await response.json()).error ?? message; } catch { /* no JSON */ }
  throw new Error(message);
}

async function ask(path, options) {
  try {
    return await check(await fetch(path, options));
  } catch (error) {
    if (error instanceof TypeError)
      throw new Error("cannot reach the server; check that it is running, then reload the page");
    throw error;
  }
}

export const get = async (path) => (await ask(path)).json();

const send = (path, body) => ask(path, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const post = async (path, body) => (await send(path, body)).json();

export const cancel = (job) => ask(`api/jobs/${job}`, { method: "DELETE" });

// Calls `handle` with each event of a job; resolves with the last one.
export function follow(job, handle) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`api/jobs/${job}/events`);
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      handle(event);
      if (["done", "failed", "cancelled"].includes(event.type)) {
        source.close();
        resolve(event);
      }
    };
    source.onerror = () => {
      source.close();
      reject(new Error("cannot reach the server; check that it is running, then reload the page"));
    };
  });
}

export async function download(path, body) {
  const response = await send(path, body);
  const name = /filename="(.*)"/.exec(response.headers.get("Content-Disposition"))[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
