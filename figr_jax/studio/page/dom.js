// Elements of the page: find, make and replace them.

export const $ = (id) => document.getElementById(id);

// Makes an element from its properties, for example `ariaLabel`, and its children.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export const pngUrl = (image) => `data:image/png;base64,${image}`;

// Makes a picture of a PNG file in base64; without a text, it is decoration.
export const picture = (image, alt = "") => make("img", { src: pngUrl(image), alt });

// Replaces the children; the control with the keyboard focus keeps it, by its position.
export function replace(element, children) {
  const controls = () => [...element.querySelectorAll("button, input")];
  const focused = controls().indexOf(document.activeElement);
  element.replaceChildren(...children);
  controls()[focused]?.focus({ preventScroll: true });
}
