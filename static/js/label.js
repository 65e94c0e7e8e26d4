// The labeling page. The server sends <form id="unit-form" hx-post hx-target="#unit" hx-swap="outerHTML"> inside
// <div id="unit" data-preload="/next.jpg /after.jpg">; its radios and check boxes carry data-key="1" to "9", "0", then letters.
(() => {
  const form = () => document.getElementById("unit-form");
  const say = (text) => {
    const live = document.getElementById("unit-status");
    if (live) live.textContent = text;
  };
  const preload = () => {
    const addresses = (document.getElementById("unit")?.dataset.preload || "").split(/\s+/).filter(Boolean);
    for (const address of addresses) new Image().src = address;
  };
  // A unit may be a part of a page with several rows: keys work on the row that has the focus, else on the first open one.
  const group = (element) => {
    const units = [...form().querySelectorAll("[data-unit]")];
    return element?.closest?.("[data-unit]")
      || units.find((unit) => !unit.querySelector("input:checked")) || units[0] || form();
  };
  const nextOpen = (unit) => {
    const units = [...form().querySelectorAll("[data-unit]")];
    return units.slice(units.indexOf(unit) + 1).find((other) => !other.querySelector("input:checked"));
  };
  const typing = (element) => element?.matches?.("textarea, select, input:not([type=radio]):not([type=checkbox])");
  const focusUnit = () => {
    const start = form()?.querySelector("[data-key], input:not([type=hidden]), textarea, select");
    (start || document.getElementById("unit"))?.focus({ preventScroll: true });
  };

  document.addEventListener("keydown", (event) => {
    if (!form() || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (/^[0-9a-z]$/i.test(event.key) && !typing(event.target)) {
      const choice = group(event.target).querySelector(`[data-key="${event.key.toLowerCase()}"]:not(:disabled)`);
      if (!choice) return;
      event.preventDefault();
      const unit = group(event.target);
      choice.focus({ preventScroll: true });
      choice.click();
      if (choice.type === "radio") nextOpen(unit)?.querySelector("[data-key]")?.focus();
    } else if (event.key === "Enter" && !event.shiftKey && !event.repeat) {
      const control = event.target.closest?.("a, button, summary, textarea");
      if (control) return; // they have a meaning of their own for Enter
      event.preventDefault();
      form().requestSubmit();
    }
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id !== "unit-form") return;
    if (form().getAttribute("aria-busy") === "true") event.preventDefault();
    else form().setAttribute("aria-busy", "true");
  });
  document.addEventListener("htmx:afterRequest", () => form()?.removeAttribute("aria-busy"));
  document.addEventListener("htmx:afterSettle", (event) => {
    const sender = event.detail.requestConfig?.elt?.id;
    if (sender === "unit" && form()) { // the waiting page polled, and work has come
      preload();
      focusUnit();
      say("New rows are here.");
    }
    if (sender !== "unit-form") return;
    const refused = event.detail.xhr.status === 422;
    preload();
    window.scrollTo({ top: 0 });
    if (refused) (document.querySelector("#unit-form [aria-invalid=true]") || form())?.focus();
    else focusUnit();
    say(refused ? "Not saved: see the message in the form." : form() ? "Row saved. Next row." : "Row saved. No more rows.");
  });

  const start = () => { preload(); if (form()) focusUnit(); };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
