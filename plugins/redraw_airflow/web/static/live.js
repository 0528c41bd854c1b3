// Parts of a page that change while something runs: the server draws a part, and this script asks for it
// again until it says that it runs no more. It waits longer where nothing changes, rests where nobody
// looks, and gives up where the server does not answer.
"use strict";
(() => {
  const SOONEST = 3000;
  const LATEST = 30000;
  const FAILURES = 5;

  const rest = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const seen = () => new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener("visibilitychange", resolve, { once: true });
  });

  async function ask(part) {
    const answer = await fetch(part.dataset.live, { credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.getElementById(part.id);
  }

  async function follow(part) {
    let pause = SOONEST;
    let failures = 0;
    while (part.dataset.live && failures < FAILURES) {
      await rest(pause);
      await seen();
      try {
        const next = await ask(part);
        failures = 0;
        if (!next || !next.dataset.live) return window.location.reload();
        pause = next.innerHTML === part.innerHTML ? Math.min(2 * pause, LATEST) : SOONEST;
        part.replaceChildren(...next.childNodes);
      } catch {
        failures += 1;
        pause = Math.min(2 * pause, LATEST);
      }
    }
  }

  for (const part of document.querySelectorAll("[data-live]")) follow(part);
})();
