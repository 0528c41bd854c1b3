// Forms and links that change one part of the page, and parts of other pages that are fetched at once: the
// server draws the part, as it draws the page that they lead to without this script.
"use strict";
(() => {
  const PAUSE = 250;
  let asked = 0;

  async function swap(id, url) {
    const part = document.getElementById(id);
    const mine = ++asked;
    part.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return;
      // Another page than the one hoped for says why.
      const found = page.getElementById(id) ?? page.querySelector("main .failure");
      if (!found) throw new Error(`expected #${id} in the answer, got status ${answer.status}`);
      part.replaceChildren(...(found.id === id ? found.childNodes : [found]));
      hide(part);
    } catch (err) {
      const message = document.createElement("p");
      message.className = "failure";
      message.textContent = `This could not be loaded: ${err.message}. Try again.`;
      if (mine === asked) part.replaceChildren(message);
    } finally {
      part.removeAttribute("aria-busy");
    }
  }

  const target = (form) => {
    const url = new URL(form.action);
    url.search = new URLSearchParams(new FormData(form)).toString();
    url.hash = "";
    return url;
  };

  // Parts that are swapped in may have forms of their own: hence on the document.
  let waiting;
  function send(event, pause) {
    const form = event.target.closest("form[data-swap]");
    if (!form) return;
    event.preventDefault();
    window.clearTimeout(waiting);
    waiting = window.setTimeout(() => swap(form.dataset.swap, target(form)), pause);
  }
  document.addEventListener("submit", (event) => send(event, 0));
  document.addEventListener("input", (event) => send(event, PAUSE));
  // What is typed or chosen acts at once: the buttons are for browsers without scripts.
  const hide = (part) => part.querySelectorAll("form[data-swap] > button").forEach((button) => { button.hidden = true; });
  hide(document);
  for (const part of document.querySelectorAll("[data-load]")) swap(part.id, part.dataset.load);

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const wording = link.dataset.waiting;
    if (wording) {
      const message = document.createElement("p");
      message.className = "quiet";
      message.textContent = wording;
      document.getElementById(link.dataset.swap).replaceChildren(message);
    }
    swap(link.dataset.swap, link.href);
  });

  // A link to a check opens it; not every browser does so by itself.
  const open = () => {
    const named = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
    const details = named?.closest("details");
    if (details && !details.open) {
      details.open = true;
      details.scrollIntoView();
    }
  };
  open();
  window.addEventListener("hashchange", open);
})();
