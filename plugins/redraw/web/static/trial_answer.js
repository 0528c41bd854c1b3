// An answer as people read it: probabilities as bars, other values as tables, all of it as JSON.
"use strict";
(() => {
  const MOST_ROWS = 20;
  const MOST_CLASSES = 20;
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
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { textContent: head, scope: "col" })))),
    element("tbody", {}, ...rows)));

  // One row of probabilities: every class, or the likeliest of many.
  function bars(caption, shares) {
    const most = shares.indexOf(Math.max(...shares));
    let classes = [...shares.keys()];
    if (shares.length > MOST_CLASSES) {
      classes = classes.sort((one, other) => shares[other] - shares[one]).slice(0, MOST_CLASSES);
    }
    const rows = classes.map((index) => {
      const bar = element("span", { className: "share" });
      bar.style.width = `${100 * shares[index]}%`;
      const head = element("th", { textContent: String(index), scope: "row" });
      const track = element("td", { className: "track" }, bar);
      const share = element("td", { className: "number", textContent: `${(100 * shares[index]).toFixed(2)} %` });
      return element("tr", { className: index === most ? "most" : "" }, head, track, share);
    });
    const left = shares.length - classes.length;
    return table(left ? `${caption}, without the ${left} least likely` : caption, ["Class", "Share", "Probability"], rows);
  }

  function show(name, tensor) {
    const caption = `${name}: ${tensor.dtype} [${tensor.shape.join(", ")}]`;
    const values = tensor.shape.length ? tensor.values : [tensor.values];
    const shown = values.slice(0, MOST_ROWS);
    if (tensor.shape.length === 2 && shown.length && shown.every(isShares)) {
      return shown.map((shares, row) => bars(values.length > 1 ? `${caption}, row ${row}` : caption, shares));
    }
    const rows = shown.map((value, row) => element("tr", {},
      element("th", { textContent: String(row), scope: "row" }),
      element("td", { className: "wide", textContent: Array.isArray(value) ? `[${value.flat(9).slice(0, 100).map(figure).join(", ")}${value.flat(9).length > 100 ? ", …" : ""}]` : figure(value) })));
    const left = values.length - shown.length;
    return [table(left > 0 ? `${caption}, the first ${shown.length} rows` : caption, ["Row", "Value"], rows)];
  }

  function showAnswer(place, answer) {
    // The shortest first: what was decided, then how sure it is.
    const outputs = Object.entries(answer.outputs).sort(([, one], [, other]) => one.shape.length - other.shape.length);
    const time = `Answered in ${figure(answer.seconds)} s; loaded in ${figure(answer.load_seconds)} s`
      + (answer.fetched ? ", after it was fetched from the bucket." : ".");
    const json = Object.fromEntries(outputs.map(([name, tensor]) => [name, tensor.values]));
    place.replaceChildren(
      ...outputs.flatMap(([name, tensor]) => show(name, tensor)),
      element("p", { className: "aside", textContent: time }),
      element("details", {}, element("summary", { textContent: "As JSON" }), element("pre", { textContent: trial.write(json), tabIndex: 0 })));
  }

  Object.assign(trial, { showAnswer });
})();
