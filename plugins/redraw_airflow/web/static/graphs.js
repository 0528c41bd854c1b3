// Zoom and pan of the picture of the two graphs. It lies in a box that scrolls: arrow keys, wheel and
// touch move it without this script, which changes its width, so that it stays sharp at any size.
"use strict";
(() => {
  const STEP = 1.25;
  const LARGEST = 8;

  for (const picture of document.querySelectorAll(".picture")) {
    const view = picture.querySelector(".view");
    const images = [...picture.querySelectorAll("img")];
    const bar = picture.querySelector("[role=toolbar]");
    let zoom = 1;

    const shown = () => images.find((image) => image.offsetParent !== null);
    const fullSize = () => (shown()?.naturalWidth || view.clientWidth) / view.clientWidth;

    // The point of the picture at (x, y) of the box stays where it is.
    function scale(wanted, x = view.clientWidth / 2, y = view.clientHeight / 2) {
      const next = Math.min(Math.max(wanted, 1), Math.max(LARGEST, fullSize()));
      const left = (view.scrollLeft + x) * (next / zoom) - x;
      const top = (view.scrollTop + y) * (next / zoom) - y;
      zoom = next;
      for (const image of images) image.style.width = `${100 * zoom}%`;
      view.scrollTo(left, top);
    }

    const acts = {
      in: () => scale(zoom * STEP),
      out: () => scale(zoom / STEP),
      fit: () => scale(1),
      full: () => scale(fullSize(), 0, 0),
    };
    const keys = { "+": "in", "=": "in", "-": "out", "0": "fit", "1": "full" };

    bar.hidden = false;
    bar.addEventListener("click", (event) => acts[event.target.closest("[data-zoom]")?.dataset.zoom]?.());
    view.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      acts[act]();
    });
    // A pinch of a touchpad comes as a wheel with Ctrl.
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = view.getBoundingClientRect();
      scale(zoom * Math.exp(-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });

    let from = null;
    view.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
      view.setPointerCapture(event.pointerId);
      view.classList.add("moving");
    });
    view.addEventListener("pointermove", (event) => {
      if (from) view.scrollTo(from.x - event.clientX, from.y - event.clientY);
    });
    const drop = () => {
      from = null;
      view.classList.remove("moving");
    };
    view.addEventListener("pointerup", drop);
    view.addEventListener("pointercancel", drop);
  }
})();
