// A canvas for an input that takes an image: the user draws on it or chooses a file, which is scaled to it.
"use strict";
(() => {
  const PNG = "iVBORw0KGgo"; // the start of every PNG file, in base 64
  const trial = window.redrawTrial;

  function element(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  const context = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

  function clear(canvas) {
    const pen = context(canvas);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
  }

  // Strokes by mouse, pen or finger, with about the thickness of handwriting.
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

  // The whole image, centred and as large as possible; its first pixel fills the border.
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

  // The drawing and its controls. `read` returns the values of the canvas, `readFile` those of a file that needs no
  // canvas (or null), and `onChange` gets them after each change.
  function makeDrawing(name, size, { read, readFile, onChange }) {
    const canvas = element("canvas", { width: size.width, height: size.height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}, ${size.width} by ${size.height} pixels: draw here, or choose a file next to it`);
    clear(canvas);
    const changed = () => onChange(read(canvas));
    drawOn(canvas, changed);
    const file = element("input", { type: "file", accept: "image/*" });
    const problem = element("p", { className: "bad", role: "alert", hidden: true });
    file.addEventListener("change", async () => {
      if (!file.files.length) return;
      try {
        placeImage(canvas, await createImageBitmap(file.files[0]));
        problem.hidden = true;
        onChange(await readFile(file.files[0]) ?? read(canvas));
      } catch {
        problem.textContent = `Expected a picture that this browser can read, got ${file.files[0].name}.`;
        problem.hidden = false;
      }
    });
    const button = (text, change) => {
      const node = element("button", { type: "button", textContent: text });
      node.addEventListener("click", () => { change(canvas); changed(); });
      return node;
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

  // A drawing for an input, with `show` to draw values; null if the input takes no image.
  async function drawingFor(name, spec, example, onChange) {
    const size = trial.imageOf(spec);
    if (size) {
      const read = (canvas) => trial.readCanvas(canvas, size.channels);
      const drawing = makeDrawing(name, size, { read, readFile: async () => null, onChange });
      return { ...drawing, show: async (values) => trial.paintCanvas(drawing.canvas, values, size.channels) };
    }
    const first = Array.isArray(example) ? example[0] : null;
    if (spec.dtype !== "string" || !first || typeof first.b64 !== "string" || !first.b64.startsWith(PNG)) return null;
    const { width, height } = await decodePng(first.b64);
    const read = (canvas) => [{ b64: canvas.toDataURL("image/png").split(",")[1] }];
    // This input takes a PNG file, which is sent unchanged.
    const readFile = async (file) => (file.type === "image/png" ? [{ b64: await encodeFile(file) }] : null);
    const drawing = makeDrawing(name, { width, height }, { read, readFile, onChange });
    return { ...drawing, show: async (values) => placeImage(drawing.canvas, await decodePng(values[0].b64)) };
  }

  Object.assign(trial, { drawingFor, element });
})();
