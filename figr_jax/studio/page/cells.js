// The row of drawings.

import { post } from "./api.js";

const SIDE = 256; // pixels of a canvas
const SMALLEST = 4, LARGEST = 8;
const REMEMBERED = 20; // actions that can be undone
const LARGEST_FILE = 4e6; // bytes of a file that is sent as it is
const LARGEST_SIDE = 2048; // pixels of what is sent of a larger one
const PAUSE = 150; // milliseconds after a stroke until the model's view is asked for

class Cell {
  constructor(row, number) {
    this.row = row;
    this.seen = null; // what the model sees, a PNG in base64
    this.source = null; // the file that fills the cell, in base64; null once it is drawn on
    this.element = document.createElement("div");
    this.element.className = "cell";
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.canvas.setAttribute("aria-label", `Drawing ${number}`);
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.view = document.createElement("img");
    this.view.className = "seen";
    this.view.alt = `What the model sees of drawing ${number}`;
    const label = document.createElement("span");
    label.className = "number";
    label.textContent = number;
    const file = document.createElement("label");
    file.className = "file";
    file.textContent = "File";
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "image/*";
    input.multiple = true;
    input.setAttribute("aria-label", `File for drawing ${number}`);
    input.onchange = () => {
      if (input.files.length) row.take(input.files, this);
      input.value = "";
    };
    file.append(input);
    const clear = document.createElement("button");
    clear.textContent = "Clear";
    clear.setAttribute("aria-label", `Clear drawing ${number}`);
    clear.onclick = () => { row.remember([this]); this.blank(); };
    const under = document.createElement("div");
    under.className = "under";
    under.append(this.view, file, clear);
    this.element.append(this.canvas, label, under);
    this.listen();
    this.blank();
  }

  listen() {
    let last = null, pointer = null; // one at a time: a palm is no pen
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const zoom = SIDE / box.width;
      return [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
    };
    const stroke = (event) => {
      const next = at(event);
      if (next.every((value, i) => value === last[i])) next[0] += 0.01; // a dot is drawn too
      this.pen.lineCap = this.pen.lineJoin = "round";
      this.pen.lineWidth = this.row.brush * (this.row.erases ? 2 : 1);
      this.pen.strokeStyle = this.row.erases ? "#fff" : "#000";
      this.pen.beginPath();
      this.pen.moveTo(...last);
      this.pen.lineTo(...next);
      this.pen.stroke();
      last = next;
    };
    this.canvas.onpointerdown = (event) => {
      if (event.button || last) return;
      pointer = event.pointerId;
      this.canvas.setPointerCapture(pointer);
      this.row.remember([this]);
      this.row.active = this;
      this.source = null;
      this.forget();
      last = at(event);
      stroke(event);
    };
    this.canvas.onpointermove = (event) => {
      if (!last || event.pointerId !== pointer) return;
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) stroke(part);
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = (event) => {
      if (last && event.pointerId === pointer) { last = null; this.change(); }
    };
    this.element.ondragover = (event) => {
      event.preventDefault();
      this.element.classList.add("over");
    };
    this.element.ondragleave = () => this.element.classList.remove("over");
    this.element.ondrop = (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.element.classList.remove("over");
      this.row.take(event.dataTransfer.files, this);
    };
  }

  get state() {
    const pixels = this.pen.getImageData(0, 0, SIDE, SIDE);
    return { cell: this, pixels, seen: this.seen, source: this.source };
  }

  restore({ pixels, seen, source }) {
    this.pen.putImageData(pixels, 0, 0);
    this.source = source;
    if (seen) this.show(seen); else this.change();
  }

  blank() {
    this.source = null;
    this.pen.fillStyle = "#fff";
    this.pen.fillRect(0, 0, SIDE, SIDE);
    this.show(null);
  }

  // Fits a picture into the cell; `exact` is what the model is to see of it, if known,
  // `source` the file, from which the server sees thin lines that are lost here.
  place(picture, exact = null, source = null) {
    this.source = source;
    const width = picture.naturalWidth || SIDE, height = picture.naturalHeight || SIDE;
    const zoom = SIDE / Math.max(width, height);
    const size = [width * zoom, height * zoom];
    const corner = size.map((length) => (SIDE - length) / 2);
    this.pen.imageSmoothingQuality = "high"; // else thin lines of large pictures go
    for (const ground of ["#fff", "#000"]) { // on which even white ink is seen
      this.pen.fillStyle = ground;
      this.pen.fillRect(0, 0, SIDE, SIDE);
      this.pen.drawImage(picture, ...corner, ...size);
      if (!this.isBlank) break;
    }
    if (exact) this.show(exact); else this.change();
  }

  get isBlank() {
    const pixels = new Uint32Array(this.pen.getImageData(0, 0, SIDE, SIDE).data.buffer);
    return pixels.every((pixel) => pixel === pixels[0]);
  }

  // What the model saw, or is being asked for, is of no use any more.
  forget() {
    clearTimeout(this.timer);
    this.seen = this.version = null;
  }

  // The drawing is another one: asks what the model sees of it, once it rests.
  change() {
    this.forget();
    this.timer = setTimeout(async () => {
      if (this.isBlank && !this.source) return this.show(null);
      const version = this.version = Symbol();
      const image = this.source ?? this.canvas.toDataURL("image/png").split(",")[1];
      try {
        const found = await post("api/see", { model: this.row.model, images: [image] });
        if (version !== this.version) return;
        this.show(found.blank[0] ? null : found.images[0]);
        if (found.hints.length) this.row.complain(new Error(found.hints.join("; ")));
      } catch (error) {
        this.row.complain(error);
      }
    }, PAUSE);
  }

  show(seen) {
    this.forget();
    this.seen = seen;
    if (seen) this.view.src = `data:image/png;base64,${seen}`;
    else this.view.removeAttribute("src");
    this.row.changed();
  }
}

const load = (source) => new Promise((resolve, reject) => {
  const picture = new Image();
  picture.onload = () => resolve(picture);
  picture.onerror = () => reject();
  picture.src = source;
});

const asDataUrl = (file) => new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.readAsDataURL(file);
});

// A file as a picture and as base64; null if it is none.
async function read(file) {
  const address = URL.createObjectURL(file);
  try {
    const picture = await load(address);
    return { picture, source: (await fit(file, picture)).split(",")[1] };
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(address);
  }
}

// A data URL of a file; of a large one, of a copy that the server accepts.
async function fit(file, picture) {
  if (file.size <= LARGEST_FILE && file.type !== "image/svg+xml") return asDataUrl(file);
  const { naturalWidth: width, naturalHeight: height } = picture;
  const zoom = LARGEST_SIDE / Math.max(width, height, 1);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((width || 1) * zoom));
  canvas.height = Math.max(1, Math.round((height || 1) * zoom));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

export class Cells {
  // `changed` is called with the support, or null while a cell is empty.
  constructor(element, changed, complain) {
    this.element = element;
    this.tell = changed;
    this.complain = complain;
    this.cells = [];
    this.history = []; // actions: the states of cells before each
    this.touched = false; // since an example was filled in
    this.brush = 14;
    this.erases = false;
    this.model = null;
    document.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) this.receive(event.clipboardData.files);
    });
    // Beside a cell too: else the browser would leave the page for the file.
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.receive(event.dataTransfer.files);
    });
    document.addEventListener("keydown", (event) => {
      const asks = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z";
      if (asks && this.element.checkVisibility()) { event.preventDefault(); this.undo(); }
    });
  }

  get support() {
    return this.cells.every((cell) => cell.seen) ? this.cells.map((cell) => cell.seen) : null;
  }

  changed() {
    if (!this.quiet) this.tell(this.support);
  }

  // Several changes that are told as one.
  together(change) {
    this.quiet = true;
    try { change(); } finally { this.quiet = false; }
    this.changed();
  }

  resize(count) {
    count = Math.min(LARGEST, Math.max(SMALLEST, count));
    this.together(() => {
      while (this.cells.length > count) {
        const gone = this.cells.pop();
        gone.element.remove();
        this.history = this.history.map((action) => action.filter(({ cell }) => cell !== gone))
          .filter((action) => action.length);
      }
      while (this.cells.length < count) {
        const cell = new Cell(this, this.cells.length + 1);
        this.cells.push(cell);
        this.element.append(cell.element);
      }
    });
  }

  get areOwn() { return this.touched && this.cells.some((cell) => !cell.isBlank); }

  // For another model, which may see all of them otherwise.
  use(model) {
    this.model = model;
    this.history = [];
    this.cells.forEach((cell) => cell.change());
  }

  remember(cells) {
    this.touched = true;
    this.history.push(cells.map((cell) => cell.state));
    this.history.splice(0, this.history.length - REMEMBERED);
  }

  undo() {
    const action = this.history.pop() ?? [];
    this.together(() => action.forEach((state) => state.cell.restore(state)));
  }

  clear() {
    this.remember(this.cells);
    this.together(() => this.cells.forEach((cell) => cell.blank()));
  }

  // Pictures as the model sees them: base64.
  async fill(images) {
    const pictures = await Promise.all(
      images.map((image) => load(`data:image/png;base64,${image}`)));
    this.together(() => {
      this.resize(images.length);
      this.remember(this.cells);
      this.cells.forEach((cell, i) => {
        if (pictures[i]) cell.place(pictures[i], images[i]); else cell.blank();
      });
      this.touched = false;
    });
  }

  // Files that were meant for no certain cell.
  receive(files) {
    if (!this.element.checkVisibility()) return;
    const empty = this.cells.find((cell) => cell.isBlank);
    const active = this.cells.find((cell) => cell === this.active);
    this.take(files, empty ?? active ?? this.cells[0]);
  }

  // Files into a cell and those after it.
  async take(files, cell) {
    const start = this.cells.indexOf(cell);
    const chosen = [...files].slice(0, LARGEST - start);
    if (start + chosen.length > this.cells.length) this.resize(start + chosen.length);
    const cells = this.cells.slice(start, start + chosen.length);
    const problems = [];
    if (!chosen.length) problems.push("that was no image file");
    if (chosen.length < files.length) problems.push(`there are no more than ${LARGEST} cells`);
    const pictures = await Promise.all(chosen.map(read));
    this.remember(cells);
    this.together(() => cells.forEach((one, i) => {
      if (pictures[i]) one.place(pictures[i].picture, null, pictures[i].source);
      else problems.push(`${chosen[i].name}: not an image that this browser can read`);
    }));
    if (problems.length) this.complain(new Error(problems.join("; ")));
  }
}
