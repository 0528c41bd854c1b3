// Zoom and pan of the picture of the two graphs. Its box scrolls, so arrow keys, wheel and touch move it without
// this script. Zooming changes its width, so that it stays sharp.
"use strict";
(() => {
  const STEP = 1.25;
  const LARGEST = 8;

  for (const picture of document.querySelectorAll(".picture")) {
    const view = picture.querySelector(".view");
    const images = [...picture.querySelectorAll("img")];
    const bar = picture.querySelector("[role=toolbar]");
    let zoom = 1;

    const visibleImage = () => images.find((image) => image.offsetParent !== null);
    const fullSize = () => (visibleImage()?.naturalWidth || view.clientWidth) / view.clientWidth;

    // Zoom, and keep the point at (x, y) of the box in place.
    function zoomTo(requested, x = view.clientWidth / 2, y = view.clientHeight / 2) {
      const next = Math.min(Math.max(requested, 1), Math.max(LARGEST, fullSize()));
      const left = (view.scrollLeft + x) * (next / zoom) - x;
      const top = (view.scrollTop + y) * (next / zoom) - y;
      zoom = next;
      for (const image of images) image.style.width = `${100 * zoom}%`;
      view.scrollTo(left, top);
    }

    const actions = {
      in: () => zoomTo(zoom * STEP),
      out: () => zoomTo(zoom / STEP),
      fit: () => zoomTo(1),
      full: () => zoomTo(fullSize(), 0, 0),
    };
    const keys = { "+": "in", "=": "in", "-": "out", "0": "fit", "1": "full" };

    bar.hidden = false;
    bar.addEventListener("click", (event) => actions[event.target.closest("[data-zoom]")?.dataset.zoom]?.());
    view.addEventListener("keydown", (event) => {
      const action = keys[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[action]();
    });
    // The browser reports a pinch of a touchpad as a wheel event with Ctrl.
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = view.getBoundingClientRect();
      zoomTo(zoom * Math.exp(-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });

    let dragStart = null;
    view.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      dragStart = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
      view.setPointerCapture(event.pointerId);
      view.classList.add("moving");
    });
    view.addEventListener("pointermove", (event) => {
      if (dragStart) view.scrollTo(dragStart.x - event.clientX, dragStart.y - event.clientY);
    });
    const endDrag = () => {
      dragStart = null;
      view.classList.remove("moving");
    };
    view.addEventListener("pointerup", endDrag);
    view.addEventListener("pointercancel", endDrag);
  }
})();
