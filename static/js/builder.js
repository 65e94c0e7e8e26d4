// The form builder with the keyboard: Enter goes to the next answer or adds one, "More settings" stays open when the
// server draws the questions anew, messages at fields go when they are mended. Its buttons are ordinary form posts without this file.
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

  let open = [];
  const key = (details) => details.closest("[data-question]").dataset.question || details.id;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "editor") return;
    open = [...document.querySelectorAll(".builder-more[open]")].map(key);
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
    for (const details of document.querySelectorAll(".builder-more")) if (open.includes(key(details))) details.open = true;
    const wanted = document.querySelector("#editor [autofocus]");
    if (wanted && wanted !== document.activeElement) wanted.focus();
    open = [];
  });
})();
