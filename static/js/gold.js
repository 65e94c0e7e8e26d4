// Making test questions by keyboard: a key per answer (data-key), Enter saves and goes on, the right arrow skips.
(() => {
  const form = document.querySelector("[data-gold-form]");
  if (!form) return;
  const questions = [...form.querySelectorAll("[data-gold-question]")];
  const typing = (element) => element?.matches?.("textarea, select, input:not([type=radio]):not([type=checkbox])");
  const current = (element) => element?.closest?.("[data-gold-question]")
    || questions.find((question) => !question.querySelector("input:checked")) || questions[0];

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing(event.target)) return;
    const choice = /^[0-9a-z]$/i.test(event.key)
      && current(event.target)?.querySelector(`[data-key="${event.key.toLowerCase()}"]:not(:disabled)`);
    if (choice) {
      event.preventDefault();
      choice.focus({ preventScroll: true });
      choice.click();
    } else if (event.key === "Enter" && !event.repeat && !event.target.closest?.("a, button, summary")) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[name=then][value=next]"));
    } else if (event.key === "ArrowRight" && !event.repeat) {
      event.preventDefault();
      form.querySelector("[data-gold-skip]")?.click();
    }
  });
  const start = form.querySelector("[data-key]:not(:disabled), textarea:not(:disabled)");
  start?.focus({ preventScroll: true });
})();
