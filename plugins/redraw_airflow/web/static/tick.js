// A form whose button needs so many ticks: it is off until they are there, and no more can be set.
"use strict";
for (const form of document.querySelectorAll("form[data-tick]")) {
  const button = form.querySelector("button");
  const boxes = [...form.querySelectorAll("[type=checkbox]")];
  const count = () => {
    const set = boxes.filter((box) => box.checked).length;
    for (const box of boxes) box.disabled = !box.checked && set >= Number(form.dataset.tick);
    if (button) button.disabled = set !== Number(form.dataset.tick);
  };
  form.addEventListener("change", count);
  count();
}
