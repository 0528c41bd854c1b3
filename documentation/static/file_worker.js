// Browsers do not start workers on a page that was opened as a file. This replacement runs the worker's script in a
// hidden frame instead, so that the search works without a server.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = this.onerror = this.onmessageerror = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => this.answer(new MessageEvent("message", { data }));
      const script = inner.document.createElement("script");
      script.src = new URL(url, location.href);
      this.loaded = new Promise((resolve) => (script.onload = resolve));
      script.onerror = () => this.onerror?.(new ErrorEvent("error"));
      inner.document.body.append(script);
    }
    answer(event) {
      this.onmessage?.(event);
      this.dispatchEvent(event);
    }
    async postMessage(data) {
      await this.loaded;
      const inner = this.frame.contentWindow;
      inner?.dispatchEvent(new inner.MessageEvent("message", { data }));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
