// The design editor: the code field, links to problems, the preview's frame. Without this file the page still works:
// its buttons are ordinary form posts.
(() => {
  const form = document.getElementById("design-form");
  const stage = document.getElementById("preview-stage");
  if (!form || !stage) return;
  const on = (type, selector, handler) => document.addEventListener(type, (event) => {
    const element = event.target instanceof Element ? event.target.closest(selector) : null;
    if (element) handler(element, event);
  });
  const code = () => document.getElementById("id_cml");

  // --- the code field: line numbers, Tab, links to a line and column -------------------------------
  const number = (area, lines) => {
    const count = area.value.split("\n").length;
    const bad = new Map();
    for (const link of document.querySelectorAll("#problems [data-line]")) {
      const level = link.closest("li").matches(".tone-yellow") ? "has-warning" : "has-error";
      if (bad.get(link.dataset.line) !== "has-error") bad.set(link.dataset.line, level);
    }
    lines.replaceChildren(...Array.from({ length: count }, (_, index) => {
      const line = document.createElement("div");
      line.textContent = index + 1;
      line.className = bad.get(String(index + 1)) || "";
      return line;
    }));
    lines.scrollTop = area.scrollTop;
  };
  const dress = () => {
    const area = code();
    if (!area) return;
    let lines = area.parentElement.querySelector(".code-lines");
    if (!lines) {
      const box = document.createElement("div");
      box.className = "code-box";
      lines = document.createElement("div");
      lines.className = "code-lines";
      lines.setAttribute("aria-hidden", "true");
      const focused = document.activeElement === area; // moving it takes the focus away
      area.replaceWith(box);
      box.append(lines, area);
      if (focused) area.focus();
      area.addEventListener("scroll", () => { lines.scrollTop = area.scrollTop; });
    }
    number(area, lines);
  };
  const put = (area, text) => { // execCommand keeps the browser's undo; the other way is for where it is gone
    if (!document.execCommand("insertText", false, text)) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const indent = (area, back) => {
    const { selectionStart: from, selectionEnd: to, value } = area;
    if (from === to && !back) { put(area, "  "); return; }
    const start = value.lastIndexOf("\n", from - 1) + 1;
    const block = value.slice(start, to);
    const changed = back ? block.replace(/^ {1,2}/gm, "") : block.replace(/^/gm, "  ");
    if (changed === block) return;
    area.setSelectionRange(start, to);
    put(area, changed);
    area.setSelectionRange(from === to ? Math.max(start, to + changed.length - block.length) : start, start + changed.length);
  };
  let leaving = false; // Escape was pressed: the next Tab leaves the field
  on("keydown", "#id_cml", (area, event) => {
    if (event.key === "Escape") { leaving = true; return; }
    if (event.key === "Tab" && !leaving && !area.readOnly && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      indent(area, event.shiftKey);
    } else if (event.key !== "Shift") leaving = false;
  });
  on("focusout", "#id_cml", () => { leaving = false; });
  on("input", "#id_cml", dress);

  const jump = (area, line, column) => {
    const lines = area.value.split("\n");
    const before = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    const start = before + [...(lines[line - 1] || "")].slice(0, column - 1).join("").length;
    const word = area.value.slice(start).match(/^[^\s>]*/)[0].length || 1;
    area.focus({ preventScroll: true });
    area.setSelectionRange(start, start + word);
    const height = parseFloat(getComputedStyle(area).lineHeight);
    area.scrollTop = Math.max(0, (line - 4) * height);
    area.scrollLeft = Math.max(0, (column - 20) * height * 0.36);
    area.scrollIntoView({ block: "nearest" });
  };
  on("click", "#problems a", (link, event) => {
    if (link.dataset.line) {
      if (!code()) return;
      event.preventDefault();
      jump(code(), Number(link.dataset.line), Number(link.dataset.column));
      return;
    }
    const target = document.querySelector(link.hash) || document.querySelector(link.hash.replace(/-.*/, "-label"));
    if (!target) return;
    event.preventDefault();
    const more = target.closest("details");
    if (more) more.open = true;
    target.focus();
  });

  // --- the preview: a frame as wide as a desktop or a phone, shrunk to fit ---------------------------
  const SIZES = { desktop: [1024, 720], phone: [390, 760] };
  let frame = stage.querySelector("iframe");
  let next = null; // a newer document that is still loading
  let touched = false; // somebody answered in the preview: keep the answers when it is drawn anew
  let checking = false;

  const fit = () => {
    const [width, tallest] = SIZES[document.querySelector("[name=preview-width]:checked").value];
    const scale = Math.min(1, stage.clientWidth / width);
    const height = Math.min(tallest, Math.max(420, (window.innerHeight - 200) / scale)); // all of it is in sight
    const sizes = { width: `${width}px`, height: `${height}px`, scale, left: `${Math.max(0, (stage.clientWidth - width * scale) / 2)}px` };
    for (const [name, value] of Object.entries(sizes)) stage.style.setProperty(`--frame-${name}`, value);
    stage.dataset.scaled = "";
  };
  const answers = () => frame.contentDocument?.getElementById("preview-form");
  const listen = () => {
    const page = frame.contentDocument;
    if (!page?.getElementById("preview-form")) return;
    page.addEventListener("input", () => { touched = true; });
    page.addEventListener("submit", (event) => {
      event.preventDefault();
      checking = touched = true;
      document.body.dispatchEvent(new Event("preview"));
    });
  };
  const show = (text) => {
    next?.remove();
    if (text === frame.srcdoc) { next = null; return; }
    const loading = frame.cloneNode();
    next = loading;
    loading.classList.add("is-loading");
    loading.srcdoc = text;
    loading.addEventListener("load", () => {
      if (next !== loading) return;
      const { scrollX, scrollY } = frame.contentWindow;
      frame.remove();
      frame = loading;
      next = null;
      frame.classList.remove("is-loading");
      frame.contentWindow.scrollTo(scrollX, scrollY);
      listen();
      if (checking) frame.contentDocument.querySelector("[aria-invalid=true], .note, button")?.scrollIntoView({ block: "center" });
      checking = false;
    }, { once: true });
    stage.append(loading);
  };
  on("change", "[name=preview-width]", fit);
  if (stage.clientWidth < 480) document.querySelector("[name=preview-width][value=phone]").checked = true;
  new ResizeObserver(fit).observe(stage);
  frame.addEventListener("load", listen);
  listen();

  document.addEventListener("htmx:configRequest", (event) => {
    const { formData, elt } = event.detail;
    if (elt.getAttribute("hx-target") !== "#preview-bar") return;
    if (elt.value?.startsWith("row:")) { touched = false; frame.contentWindow.scrollTo(0, 0); return; }
    if (!touched || !answers()) return;
    for (const [name, value] of new FormData(answers())) formData.append(name, value);
    formData.append("touched", "yes");
    if (checking) formData.append("check", "yes");
  });

  // --- changes that are not saved, and what the server has put in place ------------------------------
  on("input", "#design-form", () => { form.dataset.unsaved = ""; });
  window.addEventListener("beforeunload", (event) => {
    if ("unsaved" in form.dataset && !("sent" in form.dataset)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const bar = document.getElementById("preview-bar");
    if (bar?.dataset.document) {
      show(bar.dataset.document);
      delete bar.dataset.document;
    }
    const editor = document.getElementById("editor");
    if (event.detail.target?.id === "editor" || event.detail.elt?.id === "editor") {
      if ("unsaved" in editor.dataset) form.dataset.unsaved = ""; else delete form.dataset.unsaved;
      document.getElementById("editor-status").textContent = editor.dataset.said;
      touched = false;
    }
    dress();
  });
  dress();
  const wrong = form.querySelector("[aria-invalid=true], #builder .form-errors"); // a save was refused: go where
  if (wrong) {
    const more = wrong.closest("details");
    if (more) more.open = true;
    (wrong.matches("ul") ? wrong.parentElement.querySelector("input, select") : wrong).focus();
  }
})();
