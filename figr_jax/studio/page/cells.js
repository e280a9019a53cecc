// The row of drawings.

import { post } from "./api.js";

const SIDE = 256; // pixels of a canvas
const SMALLEST = 4, LARGEST = 8;
const REMEMBERED = 20; // strokes that can be undone
const PAUSE = 150; // milliseconds after a stroke until the model's view is asked for

class Cell {
  constructor(row, number) {
    this.row = row;
    this.seen = null; // what the model sees, a PNG in base64
    this.past = [];
    this.element = document.createElement("div");
    this.element.className = "cell";
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    this.canvas.setAttribute("aria-label", `Drawing ${number}`);
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.view = document.createElement("img");
    this.view.className = "seen";
    this.view.alt = `What the model sees of drawing ${number}`;
    const file = document.createElement("label");
    file.className = "file";
    file.textContent = "File";
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "image/*";
    input.multiple = true;
    input.setAttribute("aria-label", `File for drawing ${number}`);
    input.onchange = () => { row.take(input.files, this); input.value = ""; };
    file.append(input);
    const clear = document.createElement("button");
    clear.textContent = "Clear";
    clear.setAttribute("aria-label", `Clear drawing ${number}`);
    clear.onclick = () => { this.remember(); this.blank(); };
    const under = document.createElement("div");
    under.className = "under";
    under.append(this.view, file, clear);
    this.element.append(this.canvas, under);
    this.listen();
    this.blank();
  }

  listen() {
    let last = null;
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const zoom = SIDE / box.width;
      return [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
    };
    const stroke = (event) => {
      const next = at(event);
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
      if (event.button) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.remember();
      this.row.active = this;
      last = at(event);
      stroke(event);
    };
    this.canvas.onpointermove = (event) => {
      if (last) for (const part of event.getCoalescedEvents?.() ?? [event]) stroke(part);
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = () => {
      if (last) { last = null; this.change(); }
    };
    this.element.ondragover = (event) => {
      event.preventDefault();
      this.element.classList.add("over");
    };
    this.element.ondragleave = () => this.element.classList.remove("over");
    this.element.ondrop = (event) => {
      event.preventDefault();
      this.element.classList.remove("over");
      this.row.take(event.dataTransfer.files, this);
    };
  }

  remember() {
    const pixels = this.pen.getImageData(0, 0, SIDE, SIDE);
    this.past.push({ pixels, seen: this.seen });
    this.past.splice(0, this.past.length - REMEMBERED);
    this.row.history.push(this);
  }

  undo() {
    const { pixels, seen } = this.past.pop();
    this.pen.putImageData(pixels, 0, 0);
    this.show(seen);
  }

  blank() {
    this.pen.fillStyle = "#fff";
    this.pen.fillRect(0, 0, SIDE, SIDE);
    this.show(null);
  }

  // Fits a picture into the cell; `exact` is what the model is to see of it, if known.
  place(picture, exact = null) {
    this.pen.fillStyle = "#fff";
    this.pen.fillRect(0, 0, SIDE, SIDE);
    const width = picture.naturalWidth || SIDE, height = picture.naturalHeight || SIDE;
    const zoom = SIDE / Math.max(width, height);
    const size = [width * zoom, height * zoom];
    const corner = size.map((length) => (SIDE - length) / 2);
    this.pen.drawImage(picture, ...corner, ...size);
    if (exact) this.show(exact); else this.change();
  }

  get isBlank() {
    const pixels = new Uint32Array(this.pen.getImageData(0, 0, SIDE, SIDE).data.buffer);
    return pixels.every((pixel) => pixel === pixels[0]);
  }

  // The drawing is another one: asks what the model sees of it, once it rests.
  change() {
    this.seen = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      if (this.isBlank) return this.show(null);
      const version = this.version = Symbol();
      const image = this.canvas.toDataURL("image/png").split(",")[1];
      try {
        const found = await post("api/see", { model: this.row.model, images: [image] });
        if (version === this.version) this.show(found.images[0]);
      } catch (error) {
        this.row.complain(error);
      }
    }, PAUSE);
  }

  show(seen) {
    clearTimeout(this.timer);
    this.version = null;
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

export class Cells {
  // `changed` is called with the support, or null while a cell is empty.
  constructor(element, changed, complain) {
    this.element = element;
    this.tell = changed;
    this.complain = complain;
    this.cells = [];
    this.history = [];
    this.brush = 14;
    this.erases = false;
    this.model = null;
    document.addEventListener("paste", (event) => {
      if (!this.element.checkVisibility()) return;
      const files = [...event.clipboardData.files];
      const empty = this.cells.find((cell) => cell.isBlank);
      if (files.length) this.take(files, empty ?? this.active ?? this.cells[0]);
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
        this.history = this.history.filter((cell) => cell !== gone);
      }
      while (this.cells.length < count) {
        const cell = new Cell(this, this.cells.length + 1);
        this.cells.push(cell);
        this.element.append(cell.element);
      }
    });
  }

  undo() { this.history.pop()?.undo(); }

  clear() {
    this.together(() => this.cells.forEach((cell) => { cell.remember(); cell.blank(); }));
  }

  // Pictures as the model sees them: base64.
  async fill(images) {
    const pictures = await Promise.all(
      images.map((image) => load(`data:image/png;base64,${image}`)));
    this.together(() => {
      this.resize(images.length);
      this.cells.forEach((cell, i) => {
        cell.remember();
        if (pictures[i]) cell.place(pictures[i], images[i]); else cell.blank();
      });
    });
  }

  // Files into a cell and those after it.
  async take(files, cell) {
    const start = this.cells.indexOf(cell);
    const chosen = [...files].slice(0, LARGEST - start);
    if (start + chosen.length > this.cells.length) this.resize(start + chosen.length);
    for (const [i, file] of chosen.entries()) {
      const address = URL.createObjectURL(file);
      try {
        const picture = await load(address);
        this.cells[start + i].remember();
        this.cells[start + i].place(picture);
      } catch {
        this.complain(new Error(`${file.name}: not an image that this browser can read`));
      } finally {
        URL.revokeObjectURL(address);
      }
    }
  }
}
