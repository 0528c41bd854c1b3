// A form whose button needs a number of ticked boxes: until then it is disabled, and no more boxes can be ticked.
"use strict";
for (const form of document.querySelectorAll("form[data-tick]")) {
  const button = form.querySelector("button");
  const boxes = [...form.querySelectorAll("[type=checkbox]")];
  const update = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    for (const box of boxes) box.disabled = !box.checked && ticked >= Number(form.dataset.tick);
    if (button) button.disabled = ticked !== Number(form.dataset.tick);
  };
  form.addEventListener("change", update);
  update();
}
