// Times in the zone that the user has chosen in Airflow, by default the browser's. Without this script they are in
// UTC.
"use strict";
(() => {
  const KEY = "timezone"; // where Airflow's pages store the choice, as JSON
  const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  let zone, format;

  function choose() {
    zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    try {
      zone = JSON.parse(window.localStorage.getItem(KEY)) ?? zone;
      // The Swedish format is YYYY-MM-DD HH:MM:SS, like Airflow's.
      format = new Intl.DateTimeFormat("sv-SE", { ...PARTS, timeZone: zone });
    } catch { // the stored zone is invalid
      zone = "UTC";
      format = new Intl.DateTimeFormat("sv-SE", { ...PARTS, timeZone: zone });
    }
  }

  function show(part) {
    for (const time of part.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) time.textContent = format.format(moment);
    }
    for (const name of part.querySelectorAll("[data-zone]")) name.textContent = zone;
  }

  function update() {
    choose();
    show(document);
  }
  update();
  window.addEventListener("storage", (event) => { if (event.key === KEY) update(); });
  // Parts that are loaded later have times, too.
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.querySelectorAll) show(node.parentNode ?? node);
  }).observe(document.body, { childList: true, subtree: true });
})();
