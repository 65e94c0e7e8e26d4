// The labeling page. The server sends <form id="unit-form" hx-post hx-target="#unit" hx-swap="outerHTML"> inside
// <div id="unit" data-preload="/next.jpg /after.jpg" data-seconds-left="1800">; rows are [data-unit], their questions
// .cml-question, answers carry data-key="1" to "9", "0", then letters. Without this file everything works as plain forms.
(() => {
  const labeling = (window.labeling ??= {});
  const unit = () => document.getElementById("unit");
  const form = () => document.getElementById("unit-form");
  const sheet = () => (labeling.sheet?.active() ? labeling.sheet : null);
  const say = (text) => {
    const live = document.getElementById("unit-status");
    if (live) live.textContent = text;
  };

  // --- rows and questions ----------------------------------------------------------------------------
  const rows = () => [...form().querySelectorAll("[data-unit]")];
  const questions = (row) => row.matches("[data-tile]") ? [row]
    : [...row.querySelectorAll(".cml-question")].filter((question) => !question.closest("[hidden]"));
  const fields = (question) => [...question.querySelectorAll("input, select, textarea")];
  const isChoice = (field) => field.matches("[type=radio], [type=checkbox]");
  const answered = (question) => fields(question).some((field) => isChoice(field) ? field.checked : field.value.trim());
  // Check boxes cannot carry `required` one by one: there the star beside the question says it.
  const must = (question) => question.matches("[data-required]") || Boolean(question.querySelector("[required], .text-danger"));
  const isOpen = (question) => !answered(question) && (must(question) || Boolean(question.querySelector("[type=radio]")));
  const isDone = (row) => !questions(row).some(isOpen);
  const rowOf = (element) => (form()?.contains(element) ? element.closest("[data-unit]") : null);
  const rowName = (row) => (rows().length > 1 ? `Row ${rows().indexOf(row) + 1}` : "The row");
  let current = null;
  const currentRow = () => rowOf(document.activeElement) || (current?.isConnected ? current : null)
    || rows().find((row) => !isDone(row)) || rows()[0];

  const inView = (row) => {
    const place = row.getBoundingClientRect();
    return place.top < window.innerHeight - 140 && place.bottom > 140;
  };
  const bringUp = (row) => {
    const tall = row.getBoundingClientRect().height > window.innerHeight - 200;
    row.scrollIntoView({ block: tall ? "start" : "nearest", behavior: "instant" });
  };
  const focusQuestion = (question, row) => {
    const found = question && fields(question).filter((field) => field.type !== "hidden" && !field.disabled);
    (found?.find((field) => isChoice(field) && field.checked) || found?.[0] || unit())?.focus({ preventScroll: true });
    if (row) bringUp(row);
  };
  const focusRow = (row, scroll = true) => {
    current = row;
    if (row?.matches("[data-tile]")) { sheet()?.reach(row, scroll); return; }
    const found = row ? questions(row) : [];
    focusQuestion(found.find(isOpen) || found[0], scroll ? row : null);
  };

  // --- answers, and taking them back -----------------------------------------------------------------
  let history = [];
  let last = null;
  const state = () => ({
    values: [...form().elements].map((field) => (isChoice(field) ? field.checked : field.value)),
    sheet: sheet()?.state(),
  });
  const showProgress = () => {
    const all = rows();
    const done = all.filter(isDone).length;
    const place = form().querySelector("[data-answered]");
    if (place) {
      place.textContent = done < all.length ? `${done} of ${all.length} answered` : sheet()?.tally() || `All ${all.length} answered`;
    }
    const back = document.querySelector("#give-back button");
    if (back && history.length) back.dataset.confirm = "Your answers on this page have not been saved. Give the page back without them?";
    else if (back) delete back.dataset.confirm;
  };
  /** Something was answered in `element`: remember how it was before, and show what follows from it. */
  const changed = (element) => {
    history.push({ state: last, row: rowOf(element) });
    last = state();
    const question = element.closest(".cml-question, [data-tile]");
    question?.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
    question?.querySelectorAll(".invalid-feedback").forEach((message) => message.remove());
    sheet()?.refresh();
    showProgress();
  };
  const undo = () => {
    const step = history.pop();
    if (!step) { say("There is nothing to undo on this page."); return; }
    [...form().elements].forEach((field, place) => {
      if (isChoice(field)) field.checked = step.state.values[place];
      else if (!field.matches("button, fieldset, [type=hidden]")) field.value = step.state.values[place];
    });
    if (step.state.sheet) sheet()?.restore(step.state.sheet);
    document.dispatchEvent(new Event("only-if"));
    last = state();
    sheet()?.refresh();
    showProgress();
    focusRow(step.row || currentRow());
    say(`Undone. ${step.row ? `${rowName(step.row)}: ${isDone(step.row) ? "as before" : "not answered"}.` : ""}`);
  };
  document.addEventListener("change", (event) => {
    if (form()?.contains(event.target) && event.target.form === form()) changed(event.target);
  });
  const nextOpen = (after) => {
    const all = rows().flatMap(questions);
    const place = all.indexOf(after);
    return [...all.slice(place + 1), ...all.slice(0, place + 1)].find(isOpen);
  };
  const advance = (question) => {
    const next = nextOpen(question);
    const row = next?.closest("[data-unit]");
    if (!next) {
      if (rows().length > 1) say("All rows are answered. Enter saves them.");
    } else if (row !== question.closest("[data-unit]")) {
      focusRow(row);
      say(`${rowName(row)} of ${rows().length}.`);
    } else focusQuestion(next, row);
  };
  const answerKey = (key) => {
    const row = currentRow();
    const has = (question) => question?.querySelector(`[data-key="${CSS.escape(key)}"]:not(:disabled)`);
    const all = questions(row);
    const focused = document.activeElement?.closest(".cml-question");
    const question = [focused, all.find((one) => isOpen(one) && has(one)), ...all].find((one) => all.includes(one) && has(one));
    if (!question) return false;
    if (!inView(row)) { focusRow(row); return true; } // nobody answers what cannot be seen
    const choice = has(question);
    choice.focus({ preventScroll: true });
    choice.click();
    if (choice.type === "radio") advance(question);
    return true;
  };
  const moveRow = (step) => {
    const all = rows();
    const target = all[Math.min(Math.max(all.indexOf(currentRow()) + step, 0), all.length - 1)];
    focusRow(target);
    say(`${rowName(target)} of ${all.length}${isDone(target) ? ", answered" : ""}.`);
  };

  // --- keys ------------------------------------------------------------------------------------------
  const typing = (element) => element?.matches?.("textarea, select, input:not([type=radio]):not([type=checkbox])");
  const enter = (event) => {
    const own = event.target.closest?.("a, button, summary, textarea");
    const asked = event.ctrlKey || event.metaKey; // also out of a text
    if (own && !own.matches("[data-face]") && !(asked && form().contains(own))) return;
    event.preventDefault();
    if (!event.repeat) form().requestSubmit();
  };
  const plainKey = (event) => {
    const key = event.key.toLowerCase();
    const several = rows().length > 1 && !sheet();
    if (sheet()?.key(event)) return true;
    if (/^[0-9a-z]$/.test(key) && !event.shiftKey && !sheet() && answerKey(key)) return true;
    if (key === "backspace" || key === "u") undo();
    else if (key === "z") labeling.zoom?.(currentRow());
    else if (key === "?") document.getElementById("keys")?.showModal();
    else if (several && (key === "arrowdown" || key === "j")) moveRow(1);
    else if (several && (key === "arrowup" || key === "k")) moveRow(-1);
    else return false;
    return true;
  };
  document.addEventListener("keydown", (event) => {
    if (!form() || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) enter(event);
    else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.shiftKey && !typing(event.target)) {
      event.preventDefault();
      undo();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target) && plainKey(event)) {
      event.preventDefault();
    }
  });
  document.addEventListener("focusin", (event) => {
    const row = rowOf(event.target);
    if (!row) return;
    current = row;
    rows().forEach((other) => other.toggleAttribute("data-current", other === row));
  });

  // --- submitting ------------------------------------------------------------------------------------
  let staleToken = false;
  const trouble = (title, text, action = "Try again") => {
    const note = document.getElementById("unit-trouble");
    if (!note) return;
    note.hidden = !title;
    note.querySelector("[data-trouble-title]").textContent = title;
    note.querySelector("[data-trouble-text]").textContent = text;
    const label = form().querySelector("[data-submit-label]");
    label.dataset.usual ??= label.textContent;
    label.textContent = title && action ? action : label.dataset.usual;
  };
  const NOT_SAVED = "Not saved yet";
  const SIGNED_OUT = "You are signed out. Your answers are still here: sign in again in another tab, then come back and try again.";
  /** After signing in anew the page's old token is refused: fetch the one of the new session. */
  const renewToken = async () => {
    const response = await fetch(form().action, { headers: { Accept: "text/html" } });
    const token = /name="csrf-token" content="([^"]+)"/.exec(await response.text())?.[1];
    if (response.redirected || !response.ok || !token) return false;
    document.querySelector("meta[name=csrf-token]").content = token;
    document.querySelectorAll("input[name=csrfmiddlewaretoken]").forEach((field) => { field.value = token; });
    staleToken = false;
    return true;
  };
  const missing = () => {
    const question = rows().flatMap(questions).find((one) => must(one) && !answered(one));
    if (!question) return false;
    const row = question.closest("[data-unit]");
    const left = rows().filter((other) => questions(other).some((one) => must(one) && !answered(one))).length;
    if (row.matches("[data-tile]")) focusRow(row); else focusQuestion(question, row);
    question.classList.add("is-missing");
    question.addEventListener("change", () => question.classList.remove("is-missing"), { once: true });
    const text = rows().length > 1 ? `${left} ${left === 1 ? "row is" : "rows are"} not complete yet.` : "An answer is still missing.";
    const place = form().querySelector("[data-answered]");
    if (place) place.textContent = text;
    say(`Not saved. ${text}`);
    return true;
  };
  document.addEventListener("submit", (event) => {
    if (event.target !== form()) return;
    const stop = () => { event.preventDefault(); event.stopImmediatePropagation(); };
    if (form().getAttribute("aria-busy") === "true" || missing()) { stop(); return; }
    if (!staleToken) return;
    stop();
    renewToken().then((renewed) => { if (renewed) form().requestSubmit(); else trouble(NOT_SAVED, SIGNED_OUT); })
      .catch(() => trouble(NOT_SAVED, "The server could not be reached. Your answers are still here."));
  }, true);

  const isForm = (event) => (event.detail.requestConfig?.elt ?? event.detail.elt)?.id === "unit-form";
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isForm(event)) return;
    form().setAttribute("aria-busy", "true");
    trouble("", "");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    form()?.removeAttribute("aria-busy");
    if (event.detail.requestConfig?.elt?.matches?.("[data-acknowledge]") && event.detail.successful) { // its button is gone
      if (form()) focusRow(currentRow(), false); else unit()?.focus({ preventScroll: true });
    }
  });
  document.addEventListener("htmx:beforeSwap", (event) => { // a sign-in page must never take the place of answers
    if (event.detail.target?.id !== "unit" || event.detail.isError) return;
    if (event.detail.serverResponse.includes('id="unit"')) return;
    event.detail.shouldSwap = false;
    if (!isForm(event)) { window.location.reload(); return; }
    staleToken = true;
    trouble(NOT_SAVED, SIGNED_OUT);
  });
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (!isForm(event)) return;
      const status = event.detail.xhr?.status;
      staleToken = status === 403;
      if (status === 403) trouble(NOT_SAVED, SIGNED_OUT);
      else if (status === 404) trouble(NOT_SAVED, "This page is no longer there. Load the page again to get the next rows.");
      else if (status) trouble(NOT_SAVED, "The server could not do this just now. Your answers are still here.");
      else trouble(NOT_SAVED, "The server could not be reached. Your answers are still here. Check your connection, then try again.");
    });
  }
  window.addEventListener("beforeunload", (event) => { if (form() && history.length) event.preventDefault(); });
  document.addEventListener("submit", (event) => { if (!event.defaultPrevented) history = []; }); // leaves on purpose
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Redirect")) history = [];
  });

  // --- time ------------------------------------------------------------------------------------------
  let deadline = Infinity;
  let told = 0;
  const showTime = () => {
    const place = document.querySelector("[data-time-left]");
    if (!place || !form()) return;
    const left = Math.ceil((deadline - Date.now()) / 1000);
    place.hidden = left > 120;
    place.querySelector("[data-time]").textContent = left > 0
      ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left` : "Time is over";
    if (left <= 120 && told < 1) { told = 1; say("Less than two minutes are left for this page."); }
    if (left <= 0 && told < 2) {
      told = 2;
      trouble("The time for this page is over", "Its rows go to others now. If you save at once your answers may still count; later they are not kept.", "");
    }
  };
  setInterval(showTime, 1000);

  // --- a page comes ----------------------------------------------------------------------------------
  const preload = () => {
    const addresses = (unit()?.dataset.preload || "").split(/\s+/).filter(Boolean);
    for (const address of addresses) new Image().src = address;
  };
  const begin = () => {
    history = [];
    current = null;
    told = 0;
    deadline = Infinity;
    preload();
    if (!form()) return;
    deadline = Date.now() + 1000 * Number(unit().dataset.secondsLeft);
    sheet()?.start();
    last = state();
    showProgress();
    showTime();
    // Without a keyboard a frame around the first answer says nothing.
    if (window.matchMedia("(pointer: coarse)").matches) unit().focus({ preventScroll: true });
    else focusRow(rows().find((row) => !isDone(row)) || rows()[0], false);
  };
  const outcome = (refused) => {
    const { notice, misses } = unit().dataset;
    const missed = misses ? ` ${misses === "1" ? "A test question was" : `${misses} test questions were`} missed: see above the rows.` : "";
    if (refused) return notice || "Not saved: see the message in the form.";
    if (notice) return notice + missed;
    if (form()) return `Saved. ${rows().length > 1 ? `Next page, ${rows().length} rows.` : "Next row."}${missed}`;
    const words = [...unit().querySelectorAll(".empty-state-title, .empty-state-text")].map((part) => part.textContent.trim());
    return `Saved. ${words.join(": ")}${missed}`;
  };
  document.addEventListener("htmx:afterSettle", (event) => {
    const sender = event.detail.requestConfig?.elt;
    if (sender?.matches?.("[data-wait]")) { // the waiting page asked, and something has changed
      begin();
      say(form() ? "New rows are here." : "");
    } else if (sender?.id === "unit-form") {
      const refused = event.detail.xhr.status === 422;
      begin();
      window.scrollTo({ top: 0, behavior: "instant" });
      const wrong = refused && form()?.querySelector("[aria-invalid=true]");
      if (wrong) focusQuestion(wrong.closest(".cml-question, [data-tile]"), rowOf(wrong));
      else if (!form()) unit().focus({ preventScroll: true });
      say(outcome(refused));
    } else if (sender?.matches?.("[data-contest]")) {
      document.querySelector(".miss-contested, .miss textarea[aria-invalid]")?.focus();
    }
  });

  Object.assign(labeling, { say, changed });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
