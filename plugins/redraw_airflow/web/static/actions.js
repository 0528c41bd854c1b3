// The buttons of a model or a version: ask why, have Airflow start the run that does it, and watch it end.
//
// Airflow's own API starts the run, with the user's cookie: it decides who may, and keeps who did.
"use strict";
(() => {
  const EVERY_MS = 1000;

  // Airflow's answer to a refused request, in lines; it names the parameter and what is wrong with it.
  function reasonOf(answer, body) {
    const detail = body && body.detail;
    // After the first paragraph Airflow quotes the schema.
    if (typeof detail === "string") return detail.split("\n\n")[0];
    if (Array.isArray(detail)) return detail.map((one) => `${(one.loc || []).join(".")}: ${one.msg}`).join("\n");
    if (detail && typeof detail === "object") return detail.reason || detail.message || JSON.stringify(detail);
    return `Airflow answered ${answer.status} ${answer.statusText}.`;
  }

  async function ask(form, path, body) {
    const answer = await fetch(`${form.dataset.airflow}/api/v2/${path}`, {
      method: body ? "POST" : "GET",
      credentials: "same-origin",
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const content = await answer.json().catch(() => null);
    if (!answer.ok) throw new Error(reasonOf(answer, content));
    return content;
  }

  const dagPath = (form) => `dags/${encodeURIComponent(form.dataset.dag)}`;

  // Says something in the dialog, with a link to a page of Airflow's after it.
  function say(form, kind, text, link) {
    const outcome = form.querySelector(".outcome");
    outcome.className = `outcome ${kind}`;
    outcome.textContent = text;
    if (!link) return;
    const way = document.createElement("a");
    way.dataset.outer = "";
    way.href = `${form.dataset.airflow}/${link.path}`;
    way.textContent = link.text;
    outcome.append(" ", way);
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

  async function finished(form, run) {
    const path = `${dagPath(form)}/dagRuns/${encodeURIComponent(run)}`;
    const link = { path: `dags/${form.dataset.dag}/runs/${encodeURIComponent(run)}`, text: "See the run" };
    for (;;) {
      const { state } = await ask(form, path);
      if (state === "success" || state === "failed") return { state, link, path };
      say(form, "", `The run is ${state}.`, link);
      await pause();
    }
  }

  // As the pages write sizes.
  function sizeOf(bytes) {
    const units = ["bytes", "kB", "MB", "GB"];
    while (units.length > 1 && Number(bytes.toPrecision(3)) >= 1000) {
      bytes /= 1000;
      units.shift();
    }
    return `${Number(bytes.toPrecision(3)).toLocaleString("en")} ${units[0]}`;
  }

  // What a prune that only lists would remove: nothing changed, so the page stays.
  async function listed(form, path) {
    const task = encodeURIComponent(form.dataset.task);
    const entry = await ask(form, `${path}/taskInstances/${task}/xcomEntries/return_value`);
    const record = typeof entry.value === "string" ? JSON.parse(entry.value) : entry.value;
    const versions = record.removed.map((one) => one.version).join(", ");
    return record.removed.length
      ? `${record.removed.length} would be removed, ${sizeOf(record.bytes)}: ${versions}.`
      : "Nothing would be removed.";
  }

  // What the task failed with, in the words of its log; another task of the run may have failed instead.
  async function failureOf(form, path) {
    const task = `${path}/taskInstances/${encodeURIComponent(form.dataset.task)}`;
    const { try_number: tries } = await ask(form, task);
    const log = tries ? await ask(form, `${task}/logs/${tries}?full_content=true`) : {};
    const lines = Array.isArray(log.content) ? log.content : [];
    const reasons = lines.flatMap((line) => line.error_detail || []).map((error) => error.exc_value);
    return reasons.filter(Boolean).at(-1) || "The run failed. Its log says why.";
  }

  // The same run goes on: the page shows how, once it is loaded again.
  async function resume(form) {
    await ask(form, `${dagPath(form)}/clearTaskInstances`, JSON.parse(form.dataset.cleared));
    say(form, "good", "The tasks run again.");
    await pause();
    window.location.reload();
  }

  async function act(form) {
    if (form.dataset.cleared) return resume(form);
    const reason = form.querySelector("[data-reason]").value.trim();
    if (!reason) return say(form, "bad", "Give a reason.");
    const ticks = [...form.querySelectorAll("[data-kind=listed]")];
    if (ticks.length && !ticks.some((field) => field.checked)) return say(form, "bad", "Select at least one.");
    const dag = await ask(form, dagPath(form));
    if (dag.is_paused) {
      const link = { path: `dags/${form.dataset.dag}`, text: "Open it to unpause it" };
      return say(form, "bad", `The DAG ${form.dataset.dag} is paused: a run would wait.`, link);
    }
    const conf = confOf(form, reason);
    say(form, "", "Starting the run…");
    const run = await ask(form, `${dagPath(form)}/dagRuns`, { logical_date: null, conf, note: reason });
    if ("unwatched" in form.dataset) {
      const way = { path: `dags/${form.dataset.dag}/runs/${encodeURIComponent(run.dag_run_id)}`, text: "See the run" };
      return say(form, "good", "The run has started.", way);
    }
    const { state, link, path } = await finished(form, run.dag_run_id);
    if (state === "failed") return say(form, "bad", await failureOf(form, path), link);
    if (conf.apply === false) return say(form, "good", await listed(form, path), link);
    say(form, "good", "Done.", link);
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
      say(form, "bad", err.message);
    } finally {
      button.disabled = false;
    }
  }

  // Without this script the links lead to the DAGs; with it, buttons open the dialogs.
  for (const way of document.querySelectorAll("a[data-action]")) {
    const dialog = document.getElementById(`action-${way.dataset.action}`);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = way.textContent;
    button.className = way.classList.contains("main") ? "main" : "";
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", () => dialog.showModal());
    way.replaceWith(button);
    dialog.querySelector("form").addEventListener("submit", submit);
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  }
})();
