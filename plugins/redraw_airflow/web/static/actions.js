// The buttons of a model or a version: ask for the reason, start the run through Airflow, and wait for its end.
//
// Airflow's own API starts the run with the user's cookie: it checks the user's rights and records the user.
"use strict";
(() => {
  const EVERY_MS = 1000;

  // Airflow's error of a refused request, as lines that name the parameters and their problems.
  function errorText(response, body) {
    const detail = body && body.detail;
    // Airflow quotes the schema after the first paragraph.
    if (typeof detail === "string") return detail.split("\n\n")[0];
    if (Array.isArray(detail)) return detail.map((error) => `${(error.loc || []).join(".")}: ${error.msg}`).join("\n");
    if (detail && typeof detail === "object") return detail.reason || detail.message || JSON.stringify(detail);
    return `Airflow answered ${response.status} ${response.statusText}.`;
  }

  async function call(form, path, body) {
    const response = await fetch(`${form.dataset.airflow}/api/v2/${path}`, {
      method: body ? "POST" : "GET",
      credentials: "same-origin",
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const content = await response.json().catch(() => null);
    if (!response.ok) throw new Error(errorText(response, content));
    return content;
  }

  const dagPath = (form) => `dags/${encodeURIComponent(form.dataset.dag)}`;

  // Shows a text in the dialog, followed by a link to a page of Airflow's.
  function show(form, kind, text, link) {
    const outcome = form.querySelector(".outcome");
    outcome.className = `outcome ${kind}`;
    outcome.textContent = text;
    if (!link) return;
    const anchor = document.createElement("a");
    anchor.dataset.outer = "";
    anchor.href = `${form.dataset.airflow}/${link.path}`;
    anchor.textContent = link.text;
    outcome.append(" ", anchor);
  }

  function confOf(form, reason) {
    const conf = JSON.parse(form.dataset.conf);
    for (const field of form.querySelectorAll("[data-kind]")) {
      if (field.dataset.kind === "boolean") conf[field.name] = field.checked;
      else if (field.dataset.kind === "listed") conf[field.name] = conf[field.name].concat(field.checked ? field.value : []);
      else conf[field.name] = field.value === "" ? null : Number(field.value);
    }
    for (const name of form.dataset.reasons.split(" ").filter(Boolean)) conf[name] = reason;
    return conf;
  }

  const pause = () => new Promise((resolve) => setTimeout(resolve, EVERY_MS));

  async function waitForEnd(form, run) {
    const path = `${dagPath(form)}/dagRuns/${encodeURIComponent(run)}`;
    const link = { path: `dags/${form.dataset.dag}/runs/${encodeURIComponent(run)}`, text: "See the run" };
    for (;;) {
      const { state } = await call(form, path);
      if (state === "success" || state === "failed") return { state, link, path };
      show(form, "", `The run is ${state}.`, link);
      await pause();
    }
  }

  // A size in the form of the pages.
  function formatSize(bytes) {
    const units = ["bytes", "kB", "MB", "GB"];
    while (units.length > 1 && Number(bytes.toPrecision(3)) >= 1000) {
      bytes /= 1000;
      units.shift();
    }
    return `${Number(bytes.toPrecision(3)).toLocaleString("en")} ${units[0]}`;
  }

  // The versions that a prune would remove if it only lists them; nothing has changed, so the page is not reloaded.
  async function listPrunable(form, path) {
    const task = encodeURIComponent(form.dataset.task);
    const entry = await call(form, `${path}/taskInstances/${task}/xcomEntries/return_value`);
    const record = typeof entry.value === "string" ? JSON.parse(entry.value) : entry.value;
    const versions = record.removed.map((version) => version.version).join(", ");
    return record.removed.length
      ? `${record.removed.length} would be removed, ${formatSize(record.bytes)}: ${versions}.`
      : "Nothing would be removed.";
  }

  // The task's error from its log; another task of the run may have failed instead.
  async function failureOf(form, path) {
    const task = `${path}/taskInstances/${encodeURIComponent(form.dataset.task)}`;
    const { try_number: tries } = await call(form, task);
    const log = tries ? await call(form, `${task}/logs/${tries}?full_content=true`) : {};
    const lines = Array.isArray(log.content) ? log.content : [];
    const reasons = lines.flatMap((line) => line.error_detail || []).map((error) => error.exc_value);
    return reasons.filter(Boolean).at(-1) || "The run failed. Its log says why.";
  }

  // The same run continues; the page shows it after a reload.
  async function resume(form) {
    await call(form, `${dagPath(form)}/clearTaskInstances`, JSON.parse(form.dataset.cleared));
    show(form, "good", "The tasks run again.");
    await pause();
    window.location.reload();
  }

  async function act(form) {
    if (form.dataset.cleared) return resume(form);
    const reason = form.querySelector("[data-reason]").value.trim();
    if (!reason) return show(form, "bad", "Enter a reason.");
    const ticks = [...form.querySelectorAll("[data-kind=listed]")];
    if (ticks.length && !ticks.some((field) => field.checked)) return show(form, "bad", "Select at least one.");
    const dag = await call(form, dagPath(form));
    if (dag.is_paused) {
      const link = { path: `dags/${form.dataset.dag}`, text: "Open the DAG to unpause it" };
      return show(form, "bad", `The DAG ${form.dataset.dag} is paused: a run would wait.`, link);
    }
    const conf = confOf(form, reason);
    show(form, "", "Starting the run…");
    const run = await call(form, `${dagPath(form)}/dagRuns`, { logical_date: null, conf, note: reason });
    if ("unwatched" in form.dataset) {
      const link = { path: `dags/${form.dataset.dag}/runs/${encodeURIComponent(run.dag_run_id)}`, text: "See the run" };
      return show(form, "good", "The run has started.", link);
    }
    const { state, link, path } = await waitForEnd(form, run.dag_run_id);
    if (state === "failed") return show(form, "bad", await failureOf(form, path), link);
    if (conf.apply === false) return show(form, "good", await listPrunable(form, path), link);
    show(form, "good", "Done.", link);
    await pause();
    window.location.reload();
  }

  async function submit(event) {
    event.preventDefault();
    const form = event.target;
    const button = form.querySelector("[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    try {
      await act(form);
    } catch (err) {
      show(form, "bad", err.message);
    } finally {
      button.disabled = false;
    }
  }

  // Replace the links to the DAGs by buttons that open the dialogs.
  for (const link of document.querySelectorAll("a[data-action]")) {
    const dialog = document.getElementById(`action-${link.dataset.action}`);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = link.textContent;
    button.className = link.classList.contains("main") ? "main" : "";
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", () => dialog.showModal());
    link.replaceWith(button);
    dialog.querySelector("form").addEventListener("submit", submit);
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  }
})();
