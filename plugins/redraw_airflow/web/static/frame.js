// What a page inside Airflow's frame needs: its theme, and links that lead out of the frame.
"use strict";
(() => {
  const framed = window.parent !== window;
  const outer = framed ? window.parent.document : null;

  // Airflow writes its theme on its root element; alone, a page follows the choice that Airflow
  // keeps for the browser, and else the system's.
  function isDark() {
    if (outer) return outer.documentElement.classList.contains("dark");
    const kept = window.localStorage.getItem("theme");
    return kept === "dark" || (kept !== "light" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  }
  // Airflow's own colours and typeface, where it has them under these names; else the style sheet's.
  const TOKENS = {
    paper: "bg", card: "bg-subtle", raised: "bg-muted", edge: "border", "edge-strong": "border-emphasized",
    ink: "fg", quiet: "fg-muted", brand: "brand-solid", "on-brand": "brand-contrast", focus: "brand-focus-ring",
  };
  function take() {
    const theirs = window.getComputedStyle(outer.documentElement);
    const own = document.documentElement.style;
    for (const [name, token] of Object.entries(TOKENS)) {
      const value = theirs.getPropertyValue(`--chakra-colors-${token}`).trim();
      if (value) own.setProperty(`--${name}`, value);
      else own.removeProperty(`--${name}`);
    }
    own.setProperty("--type", theirs.getPropertyValue("--chakra-fonts-body").trim() || "Inter");
  }
  function follow() {
    document.documentElement.classList.toggle("dark", isDark());
    if (outer) take();
  }
  follow();
  if (outer) {
    new MutationObserver(follow).observe(outer.documentElement, { attributeFilter: ["class"] });
  } else {
    window.addEventListener("storage", follow);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  }

  // The frame may not navigate the window around it; a link of the outer document may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-outer]");
    if (!link || !outer || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const way = outer.createElement("a");
    way.href = link.href;
    outer.body.append(way);
    way.click();
    way.remove();
  });
})();
