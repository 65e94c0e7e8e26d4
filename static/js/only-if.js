// Questions that are shown only if others are answered. The server writes data-only-if (jobs_app/design/render.py):
// a list of alternatives, each a list of terms [name, value or null, negated, unchecked] that must all hold.
// What is hidden is disabled, is not sent, and counts as unanswered; the server decides again on submit.
// Works on the whole document, after every answer, on load and after htmx has put something in its place.
(() => {
  const WAITING = "[data-only-if]";
  const HIDDEN = `${WAITING}[hidden]`;
  const CONTROLS = "input, select, textarea";

  const byName = () => {
    const found = new Map();
    for (const control of document.querySelectorAll(CONTROLS)) {
      if (control.name) found.set(control.name, [...(found.get(control.name) || []), control]);
    }
    return found;
  };
  const given = (controls) => controls.flatMap((control) => {
    if (control.closest(HIDDEN)) return [];
    if (control.type === "radio" || control.type === "checkbox") return control.checked ? [control.value] : [];
    return control.value.split("\n").map((line) => line.trim()).filter(Boolean);
  });
  const holds = ([name, value, negated, unchecked], controls) => {
    const answers = given(controls.get(name) || []);
    const met = unchecked ? answers.length === 0 : value === null ? answers.length > 0 : answers.includes(value);
    return met !== negated;
  };

  const update = () => {
    const waiting = [...document.querySelectorAll(WAITING)];
    if (!waiting.length) return;
    const controls = byName();
    const conditions = waiting.map((element) => JSON.parse(element.dataset.onlyIf));
    // One round is enough where a question waits for earlier ones; the server refuses circles.
    for (let changed = true, rounds = 0; changed && rounds <= waiting.length; rounds += 1) {
      changed = false;
      waiting.forEach((element, place) => {
        const shown = conditions[place].some((terms) => terms.every((term) => holds(term, controls)));
        if (element.hidden !== shown) return;
        element.hidden = !shown;
        changed = true;
      });
    }
    for (const element of waiting) {
      for (const control of element.querySelectorAll(CONTROLS)) control.disabled = Boolean(control.closest(HIDDEN));
    }
  };

  for (const type of ["input", "change", "htmx:afterSettle", "only-if"]) document.addEventListener(type, update);
  document.addEventListener("reset", () => setTimeout(update)); // after the browser has emptied the fields
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", update); else update();
})();
