// What every page can do. Behaviour hangs on data- attributes; without this file forms and links still work.
(() => {
  const on = (type, selector, handler) => document.addEventListener(type, (event) => {
    const element = event.target instanceof Element ? event.target.closest(selector) : null;
    if (element) handler(element, event);
  });

  // --- messages that come and go -------------------------------------------------------------------
  const toast = (text, level = "info") => {
    const box = document.getElementById("toasts");
    const tones = { error: "tone-red", success: "tone-green", warning: "tone-yellow", info: "tone-azure" };
    if (!box || [...box.children].some((child) => child.textContent === text)) return;
    const note = document.createElement("div");
    note.className = `note toast-note ${tones[level] || tones.info}`;
    note.textContent = text;
    note.addEventListener("click", () => note.remove());
    box.append(note);
    setTimeout(() => note.remove(), level === "error" ? 10000 : 5000);
  };
  document.addEventListener("toast", (event) => toast(event.detail.message, event.detail.level)); // header HX-Trigger
  on("click", "[data-close]", (button) => button.closest("[data-closable]").remove());

  // --- theme and menus -----------------------------------------------------------------------------
  on("click", "[data-theme-toggle]", () => {
    const root = document.documentElement;
    root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.bsTheme); } catch { /* private window: this page only */ }
  });
  const closeMenus = (except) => document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
    if (menu !== except) menu.open = false;
  });
  document.addEventListener("click", (event) => closeMenus(event.target.closest?.("details[data-menu]")));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details[data-menu][open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
  });

  // --- dialogs and questions -----------------------------------------------------------------------
  on("click", "[data-dialog-open]", (opener, event) => {
    event.preventDefault();
    document.getElementById(opener.dataset.dialogOpen)?.showModal();
  });
  on("click", "[data-dialog-close]", (closer, event) => {
    const dialog = closer.closest("dialog");
    if (dialog?.open) { event.preventDefault(); dialog.close(); }
  });
  on("click", "dialog[open]", (dialog, event) => { if (event.target === dialog) dialog.close(); });
  let asking = null; // { form, button } that waits for an answer
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.confirm || form.dataset.confirm;
    if (!question || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    asking = { form, button: event.submitter };
    document.getElementById("ask-text").textContent = question;
    document.getElementById("ask").showModal();
  }, true);
  on("click", "[data-ask-answer]", (button) => {
    document.getElementById("ask").close();
    if (button.value !== "yes" || !asking) return;
    asking.form.dataset.confirmed = "yes";
    asking.form.requestSubmit(asking.button);
    delete asking.form.dataset.confirmed;
  });

  // --- forms ---------------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!("once" in form.dataset) || event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    const button = event.submitter;
    if (!button) return;
    button.setAttribute("aria-disabled", "true");
    if (form.dataset.once) { button.dataset.label = button.textContent; button.textContent = form.dataset.once; }
  });
  window.addEventListener("pageshow", (event) => { // "back" brings the page as it was left
    if (event.persisted) document.querySelectorAll("form[data-sent]").forEach(() => location.reload());
  });
  for (const tab of document.querySelectorAll(".tabs > [aria-current]")) { // a phone shows a part of the row of tabs
    const row = tab.parentElement;
    row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  }
  on("change", "form[data-auto-submit]", (form) => form.requestSubmit());

  const showFile = (zone) => {
    const file = zone.querySelector("input[type=file]").files[0];
    const [name, size] = ["name", "size"].map((part) => zone.querySelector(`[data-dropzone-${part}]`));
    name.dataset.empty ??= name.textContent;
    size.dataset.empty ??= size.textContent;
    const units = ["bytes", "kB", "MB", "GB"];
    const step = file?.size ? Math.min(3, Math.floor(Math.log10(file.size) / 3)) : 0;
    name.textContent = file ? file.name : name.dataset.empty;
    size.textContent = file ? `${(file.size / 1000 ** step).toLocaleString("en", { maximumSignificantDigits: 3 })} ${units[step]}` : size.dataset.empty;
    zone.classList.toggle("has-file", Boolean(file));
    zone.querySelector("[data-dropzone-status]").textContent = file ? `Chosen: ${file.name}, ${size.textContent}` : "";
  };
  on("change", "[data-dropzone]", showFile);
  const over = (type, state) => on(type, "[data-dropzone]", (zone) => zone.classList.toggle("is-over", state));
  over("dragover", true); over("dragleave", false); over("drop", false);

  on("click", "[data-copy]", async (button) => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source ? source.value ?? source.textContent : button.dataset.copy);
      toast("Copied.", "success");
    } catch { toast("Copying is not allowed here. Select the text and copy it by hand.", "warning"); }
  });

  // --- htmx ----------------------------------------------------------------------------------------
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = document.querySelector("meta[name=csrf-token]").content;
  });
  const polls = (element) => /\bevery\b/.test(element?.getAttribute("hx-trigger") || "");
  document.addEventListener("htmx:beforeRequest", (event) => { // nobody looks: do not ask
    if (document.hidden && polls(event.detail.elt)) event.preventDefault();
  });
  const failed = (event) => {
    if (polls(event.detail.elt) && !event.detail.xhr?.status) return; // the next poll tries again
    if ("ownErrors" in (event.detail.elt?.dataset || {})) return; // it says itself what went wrong
    const status = event.detail.xhr?.status;
    if (status === 403) toast("You may not do this, or your session has ended. Load the page again.", "error");
    else if (status === 404) toast("This is no longer here. Load the page again.", "error");
    else if (status === 429) toast("Too many requests. Wait a moment and try again.", "error");
    else if (status) toast("The server could not do this. Try again; if it happens again, load the page anew.", "error");
    else toast("The server could not be reached. Check your connection and try again.", "error");
  };
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(name, failed);
})();
