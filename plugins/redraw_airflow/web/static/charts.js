// The Tab key stops once at a chart; the arrow keys move between its points.
"use strict";
document.addEventListener("keydown", (event) => {
  const point = event.target.closest?.("a.point");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!point || !step) return;
  const points = [...point.parentNode.querySelectorAll("a.point")];
  const next = points[points.indexOf(point) + step];
  if (!next) return;
  event.preventDefault();
  point.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
});
