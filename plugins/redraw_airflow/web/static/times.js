// Times in the zone that the user has chosen in Airflow, which is the browser's until then; without this
// script they are in UTC.
"use strict";
(() => {
  const KEY = "timezone"; // where Airflow's pages keep the choice, as JSON
  const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  let zone, format;

  function choose() {
    zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    try {
      zone = JSON.parse(window.localStorage.getItem(KEY)) ?? zone;
      // Sweden writes YYYY-MM-DD HH:MM:SS, as Airflow does.
      format = new Intl.DateTimeFormat("sv-SE", { ...PARTS, timeZone: zone });
    } catch { // a choice that is no zone
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

  function renew() {
    choose();
    show(document);
  }
  renew();
  window.addEventListener("storage", (event) => { if (event.key === KEY) renew(); });
  // What is fetched later has times too.
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.querySelectorAll) show(node.parentNode ?? node);
  }).observe(document.body, { childList: true, subtree: true });
})();
