// Reloads the parts of a page that change while something runs, until the server says that it has ended. It waits
// longer if nothing changes, pauses while the page is hidden, and gives up if the server does not answer.
"use strict";
(() => {
  const SHORTEST_MS = 3000;
  const LONGEST_MS = 30000;
  const MOST_FAILURES = 5;

  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const visible = () => new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener("visibilitychange", resolve, { once: true });
  });

  async function fetchPart(part) {
    const response = await fetch(part.dataset.live, { credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(`${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.getElementById(part.id);
  }

  async function refresh(part) {
    let pause = SHORTEST_MS;
    let failures = 0;
    while (part.dataset.live && failures < MOST_FAILURES) {
      await wait(pause);
      await visible();
      try {
        const next = await fetchPart(part);
        failures = 0;
        if (!next || !next.dataset.live) return window.location.reload();
        pause = next.innerHTML === part.innerHTML ? Math.min(2 * pause, LONGEST_MS) : SHORTEST_MS;
        part.replaceChildren(...next.childNodes);
      } catch {
        failures += 1;
        pause = Math.min(2 * pause, LONGEST_MS);
      }
    }
  }

  for (const part of document.querySelectorAll("[data-live]")) refresh(part);
})();
