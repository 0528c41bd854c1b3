// Forms and links that replace one part of the page, and parts of other pages that are loaded at once. The server
// renders the part in the page that they open without this script.
"use strict";
(() => {
  const PAUSE = 250;
  let latest = 0;

  async function swap(id, url) {
    const part = document.getElementById(id);
    const request = ++latest;
    part.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(url, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (request !== latest) return;
      // If the server answers with an error page, show its message.
      const content = page.getElementById(id) ?? page.querySelector("main .failure");
      if (!content) throw new Error(`expected #${id} in the answer, got status ${response.status}`);
      part.replaceChildren(...(content.id === id ? content.childNodes : [content]));
      hideButtons(part);
    } catch (err) {
      const message = document.createElement("p");
      message.className = "failure";
      message.textContent = `This could not be loaded: ${err.message}. Try again.`;
      if (request === latest) part.replaceChildren(message);
    } finally {
      part.removeAttribute("aria-busy");
    }
  }

  const targetUrl = (form) => {
    const url = new URL(form.action);
    url.search = new URLSearchParams(new FormData(form)).toString();
    url.hash = "";
    return url;
  };

  // On the document, because replaced parts may have forms, too.
  let timer;
  function send(event, pause) {
    const form = event.target.closest("form[data-swap]");
    if (!form) return;
    event.preventDefault();
    window.clearTimeout(timer);
    timer = window.setTimeout(() => swap(form.dataset.swap, targetUrl(form)), pause);
  }
  document.addEventListener("submit", (event) => send(event, 0));
  document.addEventListener("input", (event) => send(event, PAUSE));
  // Input acts at once, so the buttons are only for browsers without scripts.
  const hideButtons = (part) => part.querySelectorAll("form[data-swap] > button").forEach((button) => { button.hidden = true; });
  hideButtons(document);
  for (const part of document.querySelectorAll("[data-load]")) swap(part.id, part.dataset.load);

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const text = link.dataset.waiting;
    if (text) {
      const message = document.createElement("p");
      message.className = "quiet";
      message.textContent = text;
      document.getElementById(link.dataset.swap).replaceChildren(message);
    }
    swap(link.dataset.swap, link.href);
  });

  // Open the check that a link points to; not every browser does this itself.
  const openCheck = () => {
    const target = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
    const details = target?.closest("details");
    if (details && !details.open) {
      details.open = true;
      details.scrollIntoView();
    }
  };
  openCheck();
  window.addEventListener("hashchange", openCheck);
})();
