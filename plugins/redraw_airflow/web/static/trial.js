// The request box of a version's page: an example to edit, and the version's answer to it.
"use strict";
(() => {
  const MOST_BODY = 1_000_000; // the server's limit
  const section = document.querySelector("[data-trial]");
  const trial = window.redrawTrial;
  if (!section) return;
  const part = (name) => section.querySelector(`[data-${name}]`);
  const place = section.dataset.trial;
  const [select, text, answer, ask] = [part("signature"), part("inputs"), part("answer"), part("ask")];
  const state = part("state"); // one line, which screen readers announce
  let signatures = {};
  let drawings = {};

  const specText = ({ dtype, shape }) => `${dtype} [${shape.map((size) => size ?? "None").join(", ")}]`;

  // The server's JSON; a refusal becomes an error with the server's message.
  async function fetchJson(name, options = {}) {
    const response = await fetch(`${place}/${name}`, { credentials: "same-origin", ...options });
    const body = await response.json().catch(() => ({}));
    if (response.ok) return body;
    const detail = typeof body.detail === "string" ? body.detail : `The server answered with status ${response.status}.`;
    const message = response.status === 403 ? "To try a version, you need the permission to run a DAG that publishes." : detail;
    throw Object.assign(new Error(message), { status: response.status });
  }

  function showError(message) {
    state.textContent = "";
    answer.replaceChildren(trial.element("p", { className: "failure", role: "alert", textContent: message }));
  }

  function currentInputs() {
    try {
      return JSON.parse(text.value);
    } catch {
      return null;
    }
  }

  const setInputs = (inputs) => { text.value = trial.write(inputs); };

  async function showOnDrawings() {
    const inputs = currentInputs() ?? {};
    for (const [name, drawing] of Object.entries(drawings)) {
      // An incomplete edit is not an image: the drawing stays unchanged.
      await drawing.show(inputs[name]).catch(() => false);
    }
  }

  async function choose() {
    const chosen = select.value;
    const { inputs, example } = signatures[chosen];
    setInputs(example);
    answer.replaceChildren();
    state.textContent = "The answer appears here.";
    part("takes").textContent = Object.entries(inputs).map(([name, spec]) => `${name}: ${specText(spec)}`).join("; ");
    const newDrawings = {};
    for (const [name, spec] of Object.entries(inputs)) {
      const setInput = (values) => setInputs({ ...(currentInputs() ?? example), [name]: values });
      // An input that is not an image is edited as text.
      const drawing = await trial.drawingFor(name, spec, example[name], setInput).catch(() => null);
      if (drawing) newDrawings[name] = drawing;
    }
    if (select.value !== chosen) return; // the user has chosen another signature meanwhile
    drawings = newDrawings;
    part("drawings").replaceChildren(...Object.values(drawings).map((drawing) => drawing.root));
    await showOnDrawings();
  }

  async function send(event) {
    event.preventDefault();
    const inputs = currentInputs();
    const body = JSON.stringify({ signature: select.value, inputs });
    if (inputs === null || body.length > MOST_BODY) {
      showError(inputs === null ? "Expected JSON, got something else. Correct the inputs."
        : `Expected a request of at most ${MOST_BODY.toLocaleString("en")} bytes, got ${body.length.toLocaleString("en")}. Send fewer rows, or a smaller picture.`);
      text.focus();
      return;
    }
    ask.disabled = true;
    answer.replaceChildren();
    state.textContent = "Asking… The first request also downloads the version.";
    try {
      const result = await fetchJson("trial", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      state.textContent = trial.timeOf(result);
      answer.replaceChildren(...trial.tablesOf(result));
    } catch (err) {
      showError(err.message);
    } finally {
      ask.disabled = false;
    }
  }

  // Retry while all workers are busy.
  async function fetchExamples(tries) {
    try {
      return await fetchJson("example");
    } catch (err) {
      if (err.status !== 429 || tries <= 1) throw err;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return fetchExamples(tries - 1);
    }
  }

  async function start() {
    try {
      ({ signatures } = await fetchExamples(20));
      await choose();
      part("controls").disabled = false;
    } catch (err) {
      part("request").hidden = true;
      part("refusal").textContent = err.message;
      part("refusal").hidden = false;
    }
  }

  select.addEventListener("change", choose);
  text.addEventListener("change", showOnDrawings);
  part("example").addEventListener("click", choose);
  part("request").addEventListener("submit", send);
  start();
})();
