// The sliders that move images closer to a drawing.

import { $, make, picture, replace } from "./dom.js";
import { run } from "./problem.js";

// Shows a slider for each drawing of the support, if the model has mixing weights.
export function showLikes(gallery, support) {
  $("likes").hidden = !gallery.steering.length;
  replace($("likes"), [make("span", {}, "Closer to drawing"), ...support.map((image, i) => {
    const slider = make("input", {
      type: "range", min: 0, max: 1, step: 0.05, value: gallery.likes[i],
      ariaLabel: `Closer to drawing ${i + 1}`,
      oninput: run(() => { gallery.likes[i] = Number(slider.value); return gallery.refresh(); }),
      onchange: run(async () => {
        const { job } = gallery;
        await gallery.refresh();
        if (job === gallery.job) gallery.changed();
      }),
    });
    return make("label", {}, picture(image), slider);
  })]);
}
