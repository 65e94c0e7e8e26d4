// The form builder with the keyboard: Enter goes to the next answer or adds one, "More settings" stays open when the
// server draws the questions anew, messages at fields go when they are mended. Without this file its buttons are
// ordinary form posts.
(() => {
  const field = (element) => element instanceof Element && element.closest("#builder input, #builder select");

  document.addEventListener("keydown", (event) => {
    const input = field(event.target);
    if (event.key !== "Enter" || !input || event.isComposing) return;
    event.preventDefault(); // it would save
    if (!input.matches("[data-answer]")) return;
    const rows = [...input.closest(".builder-answers").querySelectorAll(".builder-answer")];
    const following = rows[rows.indexOf(input.closest(".builder-answer")) + 1];
    if (following) following.querySelector("[data-answer]").focus();
    else input.closest(".builder-answers").querySelector("[id$='-answer']").click();
  });

  let swapping = false;
  let open = new Set(); // names of questions, ids of those that had none yet
  document.addEventListener("htmx:beforeSwap", (event) => {
    swapping = event.detail.target.id === "editor" && event.detail.shouldSwap;
    if (!swapping) return;
    const shown = [...document.querySelectorAll(".builder-more[open]")];
    open = new Set(shown.map((details) => details.closest("[data-question]").dataset.question || details.id));
  });
  // A message at a field goes when the list of problems, which is kept up to date, no longer has it.
  document.addEventListener("htmx:afterSettle", () => {
    for (const errors of document.querySelectorAll("#builder [data-field]")) {
      if (document.querySelector(`#problems [data-field="${errors.dataset.field}"]`)) continue;
      for (const control of errors.parentElement.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
      errors.remove();
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!swapping) return; // what follows must not take the focus from somebody who types
    swapping = false;
    for (const details of document.querySelectorAll(".builder-more")) {
      if (open.has(details.closest("[data-question]").dataset.question) || open.has(details.id)) details.open = true;
    }
    const wanted = document.querySelector("#editor [autofocus]");
    if (wanted && wanted !== document.activeElement) wanted.focus();
  });
})();
