// What unfold's pages lack for the keyboard and for screen readers. Runs again for what is added later.
"use strict";
(() => {
  const NATIVE = "a[href], button, input, select, textarea, summary, label, form";
  // Behind an open window or list: a click there closes it. By keyboard that is the Escape key.
  const BACKGROUND = "#changelist-filter-close";
  const ICONS = {
    dock_to_right: "Menu",
    computer: "Theme",
    dark_mode: "Theme",
    light_mode: "Theme",
    visibility: "Show the password",
    visibility_off: "Hide the password",
    close: "Close",
    more_horiz: "More",
  };
  const REGIONS = { "nav-sidebar-apps": "Pages of the console" };

  const words = (element) => element.textContent.replace(/\s+/g, " ").trim();

  // Unfold listens for clicks on elements that no key reaches.
  function reachable(element) {
    if (element.matches(NATIVE) || element.matches(BACKGROUND) || element.closest("[role=button]")) return;
    element.setAttribute("role", "button");
    element.tabIndex = 0;
    const icon = words(element);
    if (ICONS[icon]) element.setAttribute("aria-label", ICONS[icon]);
    element.addEventListener("keydown", (event) => {
      if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      element.click();
    });
  }

  // A field in a table is named by its column.
  function named(field) {
    if (field.labels?.length || field.hasAttribute("aria-label") || field.type === "hidden") return;
    const column = field.closest("td")?.dataset.label;
    if (column) field.setAttribute("aria-label", column);
  }

  // Select2 names its box by what is chosen, which is nothing at first.
  function chosen(box) {
    const field = box.previousElementSibling;
    const name = field?.labels?.[0] ? words(field.labels[0]).replace(/\*$/, "") : field?.getAttribute("aria-label");
    if (!name) return;
    for (const part of box.querySelectorAll("[role=combobox], [role=textbox], [role=searchbox]")) {
      part.removeAttribute("aria-labelledby");
      part.setAttribute("aria-label", name);
    }
  }

  function mend() {
    document.querySelectorAll("[x-on\\:click]").forEach(reachable);
    document.querySelectorAll("table :is(input, select, textarea)").forEach(named);
    document.querySelectorAll(".select2-container:not(.select2-container--open)").forEach(chosen);
    document.querySelectorAll("table.formset thead th").forEach((head) => {
      if (!words(head)) head.textContent = "Delete";
    });
    // Before simplebar reads it: it calls every box that scrolls the same.
    document.querySelectorAll("[data-simplebar]").forEach((box, place) => {
      const name = REGIONS[box.id] ?? `Part ${place + 1} that scrolls`;
      box.dataset.simplebarAriaLabel ??= name;
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    mend();
    let waiting = 0;
    new MutationObserver(() => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(mend);
    }).observe(document.body, { childList: true, subtree: true });
  });
})();
