// Conditions of a design, live: an element with data-only-if is shown while its condition holds; hidden inputs are
// switched off, so that they are not submitted and do not count as answers. The server applies the same rules again
// (jobs_app/design/conditions.py). data-only-if is JSON: alternatives, each a list of terms
// [input name, wanted value or null (any answer), negated, unchecked (no answer)] that must all hold.
(() => {
  const labeling = (window.labeling ??= {});

  const given = (scope, name) => [...scope.querySelectorAll(`[name="${CSS.escape(name)}"]`)].flatMap((input) => {
    if (input.disabled) return [];
    if (input.matches("[type=radio], [type=checkbox]")) return input.checked ? [input.value] : [];
    // A text field for several answers has one on each line, a large one parts them by empty lines.
    const parts = [input.value, ...input.value.split("\n"), ...input.value.split(/\n\s*\n/)];
    return [...new Set(parts.map((part) => part.trim()).filter(Boolean))];
  });
  const termHolds = (scope, [name, wanted, negated, unchecked]) => {
    const answers = given(scope, name);
    const result = unchecked ? !answers.length : wanted === null ? answers.length > 0 : answers.includes(wanted);
    return result !== negated;
  };
  const show = (element, visible) => {
    if (element.hidden === !visible) return false;
    element.hidden = !visible;
    for (const input of element.querySelectorAll("input, select, textarea")) {
      input.disabled = Boolean(input.closest("[data-only-if][hidden]"));
    }
    return true;
  };

  /** Show and hide what stands under a condition in `scope`, until nothing changes: questions may hang on hidden ones. */
  labeling.applyConditions = (scope) => {
    const elements = [...scope.querySelectorAll("[data-only-if]")];
    let changed = elements.length > 0;
    for (let turn = 0; changed && turn <= elements.length; turn += 1) {
      changed = false;
      for (const element of elements) {
        const alternatives = JSON.parse(element.dataset.onlyIf);
        const holds = alternatives.some((terms) => terms.every((term) => termHolds(scope, term)));
        changed = show(element, holds) || changed;
      }
    }
  };

  const scopeOf = (element) => element.closest?.("[data-unit]") || element.closest?.("form");
  const all = () => {
    const scopes = [...document.querySelectorAll("[data-only-if]")].map(scopeOf);
    new Set(scopes.filter(Boolean)).forEach(labeling.applyConditions);
  };
  for (const type of ["input", "change"]) {
    document.addEventListener(type, (event) => {
      const scope = scopeOf(event.target);
      if (scope) labeling.applyConditions(scope);
    });
  }
  document.addEventListener("htmx:afterSwap", all);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all); else all();
})();
