// A canvas for an input that takes an image: draw on it, or have a file scaled to it.
"use strict";
(() => {
  const PNG = "iVBORw0KGgo"; // how every PNG file begins, in base 64
  const trial = window.redrawTrial;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  const context = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

  function clear(canvas) {
    const pen = context(canvas);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
  }

  // Strokes by mouse, pen or finger, about as thick as handwriting on a picture of that size.
  function drawOn(canvas, changed) {
    let last = null;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
    };
    const stroke = (from, to) => {
      const pen = context(canvas);
      Object.assign(pen, { lineWidth: Math.max(canvas.width, canvas.height) / 13, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.stroke();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = place(event);
      stroke(last, last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const next = place(event);
      stroke(last, next);
      last = next;
    });
    const finish = () => {
      if (last) changed();
      last = null;
    };
    canvas.addEventListener("pointerup", finish);
    canvas.addEventListener("pointercancel", finish);
  }

  // The whole picture, as large as it fits, in the middle; its first pixel goes on around it.
  function placeImage(canvas, image) {
    context(canvas).drawImage(image, 0, 0, 1, 1, 0, 0, canvas.width, canvas.height);
    const scale = Math.min(canvas.width / image.width, canvas.height / image.height);
    const [width, height] = [image.width * scale, image.height * scale];
    const pen = context(canvas);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  }

  function invert(canvas) {
    const pen = context(canvas);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < pixels.data.length; at += 1) if (at % 4 !== 3) pixels.data[at] = 255 - pixels.data[at];
    pen.putImageData(pixels, 0, 0);
  }

  // A file's content in base 64.
  const encodeFile = (file) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.split(",")[1]));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });

  // The drawing and its controls. `read` gives the values of what is drawn, `pass` those of a file
  // that needs no drawing (or null), and `give` takes them whenever they changed.
  function makeDrawing(name, size, { read, pass, give }) {
    const canvas = element("canvas", { width: size.width, height: size.height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}, ${size.width} by ${size.height} pixels: draw here, or choose a file next to it`);
    clear(canvas);
    const changed = () => give(read(canvas));
    drawOn(canvas, changed);
    const file = element("input", { type: "file", accept: "image/*" });
    const problem = element("p", { className: "bad", role: "alert", hidden: true });
    file.addEventListener("change", async () => {
      if (!file.files.length) return;
      try {
        placeImage(canvas, await createImageBitmap(file.files[0]));
        problem.hidden = true;
        give(await pass(file.files[0]) ?? read(canvas));
      } catch {
        problem.textContent = `Expected a picture that this browser can read, got ${file.files[0].name}.`;
        problem.hidden = false;
      }
    });
    const button = (text, change) => {
      const made = element("button", { type: "button", textContent: text });
      made.addEventListener("click", () => { change(canvas); changed(); });
      return made;
    };
    const controls = element("div", { className: "row" },
      element("strong", { textContent: name }),
      element("span", { className: "aside", textContent: `Draw ${size.width} × ${size.height} pixels, white on black.` }),
      element("span", {}, button("Clear", clear), " ", button("Invert", invert)),
      element("label", { textContent: "Or choose a picture, which is scaled to this size: " }, file), problem);
    return { canvas, root: element("div", { className: "drawing" }, canvas, controls) };
  }

  async function decodePng(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return createImageBitmap(new Blob([bytes], { type: "image/png" }));
  }

  // A drawing for an input, with `show` to bring values onto it; null where it takes no image.
  async function drawingFor(name, spec, example, give) {
    const size = trial.imageOf(spec);
    if (size) {
      const read = (canvas) => trial.readCanvas(canvas, size.channels);
      const made = makeDrawing(name, size, { read, pass: async () => null, give });
      return { ...made, show: async (values) => trial.paintCanvas(made.canvas, values, size.channels) };
    }
    const first = Array.isArray(example) ? example[0] : null;
    if (spec.dtype !== "string" || !first || typeof first.b64 !== "string" || !first.b64.startsWith(PNG)) return null;
    const { width, height } = await decodePng(first.b64);
    const read = (canvas) => [{ b64: canvas.toDataURL("image/png").split(",")[1] }];
    // A PNG file is what this input takes: it goes as it is.
    const pass = async (file) => (file.type === "image/png" ? [{ b64: await encodeFile(file) }] : null);
    const made = makeDrawing(name, { width, height }, { read, pass, give });
    return { ...made, show: async (values) => placeImage(made.canvas, await decodePng(values[0].b64)) };
  }

  Object.assign(trial, { drawingFor, element });
})();
