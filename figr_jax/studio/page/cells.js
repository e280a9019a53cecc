// The row of cells for drawings.

import { post } from "./api.js";

const SIDE = 256; // pixels of a canvas
const SMALLEST = 4, LARGEST = 8;
const REMEMBERED = 20; // number of actions that can be undone
const LARGEST_FILE = 4e6; // bytes; larger files are sent as a smaller copy
const LARGEST_SIDE = 2048; // pixels of that copy
const PAUSE = 150; // milliseconds from a stroke to the request for the model's view

class Cell {
  constructor(row, number) {
    this.row = row;
    this.seen = null; // the drawing as the model sees it, a PNG in base64
    this.source = null; // the file in the cell, in base64; null after a stroke
    this.element = document.createElement("div");
    this.element.className = "cell";
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.canvas.setAttribute("aria-label", `Drawing ${number}`);
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.view = document.createElement("img");
    this.view.className = "seen";
    this.view.alt = `Drawing ${number} as the model sees it`;
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
    let last = null, pointer = null; // one pointer at a time, to ignore the palm
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const zoom = SIDE / box.width;
      return [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
    };
    const stroke = (event) => {
      const next = at(event);
      if (next.every((value, i) => value === last[i])) next[0] += 0.01; // a click: a dot
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

  // Fits a picture into the cell. `exact` is the picture as the model sees it, if known.
  // `source` is the file: it keeps thin lines that the canvas loses.
  place(picture, exact = null, source = null) {
    this.source = source;
    const width = picture.naturalWidth || SIDE, height = picture.naturalHeight || SIDE;
    const zoom = SIDE / Math.max(width, height);
    const size = [width * zoom, height * zoom];
    const corner = size.map((length) => (SIDE - length) / 2);
    this.pen.imageSmoothingQuality = "high"; // otherwise thin lines of large pictures vanish
    for (const ground of ["#fff", "#000"]) { // black, to show white ink
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

  // Discards the model's view and any request for it.
  forget() {
    clearTimeout(this.timer);
    this.seen = this.version = null;
  }

  // Requests the model's view of a changed drawing after a pause.
  change() {
    this.forget();
    this.timer = setTimeout(async () => {
      if (this.isBlank && !this.source) return this.show(null);
      const version = this.version = Symbol();
      const image = this.source ?? this.canvas.toDataURL("image/png").split(",")[1];
      try {
        const seen = await post("api/see", { model: this.row.model, images: [image] });
        if (version !== this.version) return;
        this.show(seen.blank[0] ? null : seen.images[0]);
        if (seen.hints.length) this.row.complain(new Error(seen.hints.join("; ")));
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

// Reads a file as a picture and as base64; null if it is not an image.
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

// Returns the data URL of a file, or of a smaller copy of a large file.
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
  // Calls `changed` with the support, or with null while a cell is empty.
  constructor(element, changed, complain) {
    this.element = element;
    this.tell = changed;
    this.complain = complain;
    this.cells = [];
    this.history = []; // the states of the changed cells before each action
    this.touched = false; // true after a change to the example
    this.brush = 14;
    this.erases = false;
    this.model = null;
    document.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) this.receive(event.clipboardData.files);
    });
    // Also outside the cells: otherwise the browser would open the file instead.
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.receive(event.dataTransfer.files);
    });
  }

  get support() {
    return this.cells.every((cell) => cell.seen) ? this.cells.map((cell) => cell.seen) : null;
  }

  changed() {
    if (!this.quiet) this.tell(this.support);
  }

  // Makes several changes and reports them once.
  together(change) {
    const { quiet } = this; // true within another call
    this.quiet = true;
    try { change(); } finally { this.quiet = quiet; }
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

  // Switches to another model, which may see the drawings differently.
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

  // Fills the cells with pictures as the model sees them, in base64.
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

  // Takes files into the first empty cell, the active cell or the first cell.
  receive(files) {
    if (!this.element.checkVisibility()) return;
    const empty = this.cells.find((cell) => cell.isBlank);
    const active = this.cells.find((cell) => cell === this.active);
    this.take(files, empty ?? active ?? this.cells[0]);
  }

  // Takes files into a cell and the cells after it.
  async take(files, cell) {
    const start = this.cells.indexOf(cell);
    const chosen = [...files].slice(0, LARGEST - start);
    if (start + chosen.length > this.cells.length) this.resize(start + chosen.length);
    const cells = this.cells.slice(start, start + chosen.length);
    const problems = [];
    if (!chosen.length) problems.push("no file received; drop or paste an image file");
    if (chosen.length < files.length)
      problems.push(`at most ${LARGEST} drawings; the other files are ignored`);
    const pictures = await Promise.all(chosen.map(read));
    this.remember(cells);
    this.together(() => cells.forEach((one, i) => {
      if (pictures[i]) one.place(pictures[i].picture, null, pictures[i].source);
      else problems.push(
        `${chosen[i].name}: not an image that this browser can read; save it as PNG or JPEG`);
    }));
    if (problems.length) this.complain(new Error(problems.join("; ")));
  }
}
