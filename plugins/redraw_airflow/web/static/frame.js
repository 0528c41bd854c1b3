// For a page inside Airflow's frame: Airflow's theme, and links that leave the frame.
"use strict";
(() => {
  const framed = window.parent !== window;
  const outer = framed ? window.parent.document : null;

  // In the frame, Airflow's root element has the theme. Outside, the page uses the theme that Airflow stored in
  // the browser, or else the system's.
  function isDark() {
    if (outer) return outer.documentElement.classList.contains("dark");
    const stored = window.localStorage.getItem("theme");
    return stored === "dark" || (stored !== "light" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  }
  // Airflow's colours and typeface if it has these names, or else the style sheet's.
  const TOKENS = {
    paper: "bg", card: "bg-subtle", raised: "bg-muted", edge: "border", "edge-strong": "border-emphasized",
    ink: "fg", quiet: "fg-muted", brand: "brand-solid", "on-brand": "brand-contrast", focus: "brand-focus-ring",
  };
  function copyTokens() {
    const outerStyle = window.getComputedStyle(outer.documentElement);
    const style = document.documentElement.style;
    for (const [name, token] of Object.entries(TOKENS)) {
      const value = outerStyle.getPropertyValue(`--chakra-colors-${token}`).trim();
      if (value) style.setProperty(`--${name}`, value);
      else style.removeProperty(`--${name}`);
    }
    style.setProperty("--type", outerStyle.getPropertyValue("--chakra-fonts-body").trim() || "Inter");
  }
  function applyTheme() {
    document.documentElement.classList.toggle("dark", isDark());
    if (outer) copyTokens();
  }
  applyTheme();
  if (outer) {
    new MutationObserver(applyTheme).observe(outer.documentElement, { attributeFilter: ["class"] });
  } else {
    window.addEventListener("storage", applyTheme);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
  }

  // The frame may not navigate the outer window, but a link in the outer document may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-outer]");
    if (!link || !outer || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const anchor = outer.createElement("a");
    anchor.href = link.href;
    outer.body.append(anchor);
    anchor.click();
    anchor.remove();
  });
})();
