// Buttons that copy the text before them; without this script they are not shown.
"use strict";
(() => {
  // A frame may be denied the clipboard: the selection is then what is copied.
  async function copy(source) {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      return document.execCommand("copy");
    }
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    const wording = button.textContent;
    button.addEventListener("click", async () => {
      const copied = await copy(button.parentElement.querySelector("pre"));
      button.textContent = copied ? "Copied" : "Press Ctrl+C";
      window.setTimeout(() => { button.textContent = wording; }, 2000);
    });
  }
})();
