// Writes requests as text to edit, and converts images to the values of a signature.
"use strict";
window.redrawTrial = {};
(() => {
  const SMALLEST_SIDE = 8;
  const MOST_VALUES = 200000; // a request has at most about a megabyte

  // JSON with each innermost list on a line of its own, so that an image is shown by rows.
  function write(value, indent = "") {
    const inner = indent + "  ";
    if (Array.isArray(value) && value.some((item) => Array.isArray(item) || isWide(item))) {
      return `[\n${value.map((item) => inner + write(item, inner)).join(",\n")}\n${indent}]`;
    }
    if (Array.isArray(value)) return `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
    if (value === null || typeof value !== "object" || "b64" in value) return JSON.stringify(value);
    const members = Object.entries(value).map(([name, item]) => `${inner}${JSON.stringify(name)}: ${write(item, inner)}`);
    return members.length ? `{\n${members.join(",\n")}\n${indent}}` : "{}";
  }
  const isWide = (item) => item !== null && typeof item === "object";

  // The size of the image that an input takes; null if it takes none.
  function imageOf(spec) {
    if (spec.dtype !== "uint8") return null;
    const [, ...sizes] = spec.shape;
    const [height, width, channels = 0] = sizes;
    const fits = (sizes.length === 2 || (sizes.length === 3 && (channels === 1 || channels === 3)))
      && height >= SMALLEST_SIDE && width >= SMALLEST_SIDE && height * width * (channels || 1) <= MOST_VALUES;
    return fits ? { height, width, channels } : null;
  }

  // The content of a canvas as a batch of one: [1, height, width], or with channels.
  function readCanvas(canvas, channels) {
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const pixel = (at) => {
      const rgb = [data[at], data[at + 1], data[at + 2]];
      const grey = Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
      return channels === 3 ? rgb : channels === 1 ? [grey] : grey;
    };
    const row = (y) => Array.from({ length: width }, (_, x) => pixel(4 * (y * width + x)));
    return [Array.from({ length: height }, (_, y) => row(y))];
  }

  // Draw the first image of a batch on a canvas; false if the values are not such an image.
  function paintCanvas(canvas, batch, channels) {
    const { width, height } = canvas;
    const image = Array.isArray(batch) ? batch[0] : null;
    if (!Array.isArray(image) || image.length !== height) return false;
    const pixels = new ImageData(width, height);
    for (const [y, row] of image.entries()) {
      if (!Array.isArray(row) || row.length !== width) return false;
      for (const [x, value] of row.entries()) {
        const [red, green, blue] = channels === 3 ? value : [value, value, value].flat();
        pixels.data.set([red, green, blue, 255], 4 * (y * width + x));
      }
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return true;
  }

  Object.assign(window.redrawTrial, { write, imageOf, readCanvas, paintCanvas });
})();
