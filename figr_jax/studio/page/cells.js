// The row of cells for drawings.

import { Cell } from "./cell.js";
import { pngUrl } from "./dom.js";
import { load, read } from "./pictures.js";
import { complain } from "./problem.js";

const SMALLEST = 4, LARGEST = 8;
const REMEMBERED = 20; // number of actions that can be undone

export class Cells {
  // Calls `changed` with the support, or with null while a cell is empty.
  constructor(element, changed) {
    this.element = element;
    this.tell = changed;
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
    const pictures = await Promise.all(images.map((image) => load(pngUrl(image))));
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
    if (problems.length) complain(new Error(problems.join("; ")));
  }
}
