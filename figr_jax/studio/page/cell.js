// One cell: a canvas to draw on, and the drawing as the model sees it.

import { post } from "./api.js";
import { make, pngUrl } from "./dom.js";
import { complain } from "./problem.js";

const SIDE = 256; // pixels of a canvas
const PAUSE = 150; // milliseconds from a stroke to the request for the model's view

export class Cell {
  constructor(row, number) {
    this.row = row;
    this.seen = null; // the drawing as the model sees it, a PNG in base64
    this.source = null; // the file in the cell, in base64; null after a stroke
    this.canvas = make("canvas", { width: SIDE, height: SIDE, ariaLabel: `Drawing ${number}` });
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.view = make("img", { className: "seen", alt: `Drawing ${number} as the model sees it` });
    const file = make("input", {
      type: "file", accept: "image/*", multiple: true, ariaLabel: `File for drawing ${number}`,
      onchange: () => {
        if (file.files.length) row.take(file.files, this);
        file.value = "";
      },
    });
    const clear = make("button", {
      ariaLabel: `Clear drawing ${number}`,
      onclick: () => { row.remember([this]); this.blank(); },
    }, "Clear");
    this.element = make("div", { className: "cell" },
      this.canvas,
      make("span", { className: "number" }, number),
      make("div", { className: "under" },
        this.view, make("label", { className: "file" }, "File", file), clear));
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
        if (seen.hints.length) complain(new Error(seen.hints.join("; ")));
      } catch (error) {
        complain(error);
      }
    }, PAUSE);
  }

  show(seen) {
    this.forget();
    this.seen = seen;
    if (seen) this.view.src = pngUrl(seen);
    else this.view.removeAttribute("src");
    this.row.changed();
  }
}
