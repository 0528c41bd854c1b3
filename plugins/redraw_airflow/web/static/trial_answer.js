// Shows an answer: probabilities as bars, other values as tables, and all of it as JSON.
"use strict";
(() => {
  const MOST_ROWS = 20;
  const MOST_CLASSES = 20;
  const MOST_SHOWN = 100;
  const trial = window.redrawTrial;
  const { element } = trial;

  const isShares = (row) => Array.isArray(row) && row.length > 1
    && row.every((share) => typeof share === "number" && share >= 0 && share <= 1)
    && Math.abs(row.reduce((sum, share) => sum + share, 0) - 1) < 0.01;

  function figure(value) {
    if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  }

  const table = (caption, heads, rows) => element("div", { className: "scroll" }, element("table", {},
    element("caption", { textContent: caption }),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { textContent: head, scope: "col", className: head === "Probability" ? "number" : "" })))),
    element("tbody", {}, ...rows)));

  // One row of probabilities: all classes, or the most likely ones.
  function bars(caption, shares) {
    const most = shares.indexOf(Math.max(...shares));
    let classes = [...shares.keys()];
    if (shares.length > MOST_CLASSES) {
      classes = classes.sort((a, b) => shares[b] - shares[a]).slice(0, MOST_CLASSES);
    }
    const rows = classes.map((index) => {
      const bar = element("span", { className: "share" });
      bar.style.width = `${100 * shares[index]}%`;
      const head = element("th", { textContent: String(index), scope: "row" });
      const track = element("td", { className: "track" }, bar);
      const share = element("td", { className: "number", textContent: `${(100 * shares[index]).toFixed(2)} %` });
      return element("tr", { className: index === most ? "most" : "" }, head, track, share);
    });
    const omitted = shares.length - classes.length;
    return table(omitted ? `${caption}, without the ${omitted} least likely` : caption, ["Class", "Share", "Probability"], rows);
  }

  // One row of an output, or its beginning.
  function cell(value) {
    if (!Array.isArray(value)) return figure(value);
    const all = value.flat(Infinity);
    return `[${all.slice(0, MOST_SHOWN).map(figure).join(", ")}${all.length > MOST_SHOWN ? ", …" : ""}]`;
  }

  function show(name, tensor) {
    const caption = `${name}: ${tensor.dtype} [${tensor.shape.join(", ")}]`;
    const values = tensor.shape.length ? tensor.values : [tensor.values];
    const rowValues = values.slice(0, MOST_ROWS);
    if (tensor.shape.length === 2 && rowValues.length && rowValues.every(isShares)) {
      return rowValues.map((shares, row) => bars(values.length > 1 ? `${caption}, row ${row}` : caption, shares));
    }
    const rows = rowValues.map((value, row) => element("tr", {},
      element("th", { textContent: String(row), scope: "row" }),
      element("td", { className: "wide", textContent: cell(value) })));
    const omitted = values.length - rowValues.length;
    return [table(omitted > 0 ? `${caption}, the first ${rowValues.length} rows` : caption, ["Row", "Value"], rows)];
  }

  // The duration of the answer, in a line.
  const timeOf = ({ seconds, load_seconds: loading, fetched }) => `Answered in ${figure(seconds)} s; loaded in ${figure(loading)} s`
    + (fetched ? ", after it was downloaded from the bucket." : ".");

  function tablesOf({ outputs }) {
    // Tensors with fewer dimensions first: the decision, then its probabilities.
    const ordered = Object.entries(outputs).sort(([, a], [, b]) => a.shape.length - b.shape.length);
    const json = Object.fromEntries(ordered.map(([name, tensor]) => [name, tensor.values]));
    const details = element("pre", { textContent: trial.write(json), tabIndex: 0 });
    return [
      ...ordered.flatMap(([name, tensor]) => show(name, tensor)),
      element("details", {}, element("summary", { textContent: "As JSON" }), details),
    ];
  }

  Object.assign(trial, { timeOf, tablesOf });
})();
