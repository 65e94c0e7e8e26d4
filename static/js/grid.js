// The contact sheet (templates/contribute/_sheet.html): one answer for most pictures, another for those that are marked.
// Under each picture stand ordinary radio inputs; this only chooses among them. label.js has the keys of every page.
(() => {
  const labeling = (window.labeling ??= {});
  const sheet = () => document.querySelector("[data-sheet]");
  const tiles = () => [...sheet().querySelectorAll("[data-tile]")];
  const face = (tile) => tile.querySelector("[data-face]");
  const inputs = (tile) => [...tile.querySelectorAll(".tile-choices input")];
  const value = (tile) => inputs(tile).find((input) => input.checked)?.value;
  const chips = (kind) => [...sheet().querySelectorAll(`[data-chips="${kind}"] input`)];
  const chosen = (kind) => chips(kind).find((chip) => chip.checked)?.value;
  const words = (answer) => chips("usual").find((chip) => chip.value === answer)?.closest("label").querySelector("span").textContent;
  const choose = (kind, answer) => chips(kind).forEach((chip) => { chip.checked = chip.value === answer; });
  const give = (tile, answer) => inputs(tile).forEach((input) => { input.checked = input.value === answer; });
  const open = () => tiles().filter((tile) => value(tile) === undefined);
  const number = (tile) => `Picture ${tile.dataset.tile}`;
  let before; // the usual answer until now
  let tally = "";

  const usual = (answer) => {
    choose("usual", answer);
    if (chosen("brush") === undefined || chosen("brush") === answer) {
      choose("brush", chips("brush").find((chip) => chip.value !== answer)?.value);
    }
    const changed = tiles().filter((tile) => value(tile) === undefined || (before !== undefined && value(tile) === before));
    changed.forEach((tile) => give(tile, answer));
    before = answer;
    labeling.changed(document.activeElement?.closest?.("[data-tile]") || tiles()[0]);
    labeling.say(`${changed.length} ${changed.length === 1 ? "picture" : "pictures"}: ${words(answer)}.`);
  };
  const brush = (answer) => {
    choose("brush", answer);
    refresh();
    labeling.say(`Marked pictures are now: ${words(answer)}.`);
  };
  const press = (tile) => {
    const answer = chosen("brush");
    if (answer === undefined) {
      labeling.say("First choose the answer that most pictures get.");
      sheet().querySelector(".sheet-tools").scrollIntoView({ block: "nearest", behavior: "instant" });
      sheet().querySelector("[data-sheet-say]").classList.add("text-danger");
      return;
    }
    const back = value(tile) === answer && chosen("usual") !== undefined;
    give(tile, back ? chosen("usual") : answer);
    labeling.changed(tile);
    labeling.say(`${number(tile)}: ${words(value(tile))}.`);
  };
  /** Write under each picture what it gets, and what is to do now. */
  const refresh = () => {
    const most = chosen("usual");
    const counts = new Map();
    for (const tile of tiles()) {
      const answer = value(tile);
      const text = answer === undefined ? "No answer yet" : words(answer);
      counts.set(text, (counts.get(text) || 0) + 1);
      tile.dataset.mark = answer === undefined ? "none" : most === undefined ? "plain" : answer === most ? "usual" : "other";
      tile.querySelector("[data-tile-answer]").textContent = text;
      face(tile).setAttribute("aria-label", `${number(tile)}: ${text}`);
    }
    const unanswered = open().length;
    sheet().dataset.keys = unanswered ? "usual" : "brush";
    const say = sheet().querySelector("[data-sheet-say]");
    say.classList.remove("text-danger");
    tally = [...counts].map(([text, count]) => `${count} ${text}`).join(" · ");
    say.textContent = unanswered === tiles().length ? "Choose the answer that most pictures get."
      : unanswered ? "Choose the answer for the rest."
      : chosen("brush") === undefined ? "Choose what marked pictures are, then mark those that get another answer."
      : "Mark the pictures that are something else.";
  };
  const reach = (tile, scroll = true) => {
    tiles().forEach((other) => { face(other).tabIndex = other === tile ? 0 : -1; });
    face(tile).focus({ preventScroll: true });
    if (scroll) tile.scrollIntoView({ block: "nearest", behavior: "instant" });
  };
  const move = (key) => {
    const all = tiles();
    const columns = getComputedStyle(sheet().querySelector(".tiles")).gridTemplateColumns.split(" ").length;
    const at = all.indexOf(document.activeElement?.closest?.("[data-tile]"));
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: all.length - 1 - at }[key];
    const target = at < 0 ? all[0] : all[at + step];
    if (target) reach(target);
  };

  labeling.sheet = {
    active: () => Boolean(sheet()),
    start: () => {
      before = undefined;
      tiles().forEach((tile, place) => {
        face(tile).tabIndex = place ? -1 : 0;
        tile.querySelector(".tile-zoom")?.setAttribute("tabindex", "-1"); // the key Z does the same
      });
      refresh();
    },
    refresh,
    reach,
    tally: () => tally,
    state: () => ({ usual: chosen("usual"), brush: chosen("brush") }),
    restore: (state) => { choose("usual", state.usual); choose("brush", state.brush); before = state.usual; },
    /** Handle a key; true when it meant something here. */
    key: (event) => {
      const digit = event.shiftKey ? /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1] : event.key.toLowerCase();
      const kind = event.shiftKey ? "usual" : sheet().dataset.keys;
      const chip = digit && chips(kind).find((found) => found.dataset.chipKey === digit);
      if (chip) (kind === "usual" ? usual : brush)(chip.value);
      else if (/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key) && !event.target.closest?.(".chips")) move(event.key);
      else return false;
      return true;
    },
  };
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("[data-face]");
    if (!pressed) return;
    const tile = pressed.closest("[data-tile]");
    reach(tile);
    press(tile);
  });
  document.addEventListener("change", (event) => {
    const kind = event.target.closest?.("[data-chips]")?.dataset.chips;
    if (kind) (kind === "usual" ? usual : brush)(event.target.value);
  });
})();
