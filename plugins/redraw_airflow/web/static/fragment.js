// Shows a part of another page in place of the link to it; forms in that part change it in place.
"use strict";
(() => {
  async function show(box, address) {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.getElementById(box.dataset.part);
    if (!part) return;
    // A choice acts at once: the button is for the page that the part is taken from.
    part.querySelectorAll("form > button").forEach((button) => { button.hidden = true; });
    box.replaceChildren(document.adoptNode(part));
  }

  for (const box of document.querySelectorAll("[data-fragment]")) {
    show(box, box.dataset.fragment);
    const follow = (form) => show(box, `${form.action}?${new URLSearchParams(new FormData(form))}`);
    box.addEventListener("change", (event) => follow(event.target.form));
    box.addEventListener("submit", (event) => {
      event.preventDefault();
      follow(event.target);
    });
  }
})();
