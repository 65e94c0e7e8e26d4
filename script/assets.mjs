// Copies the few front-end files the site serves out of node_modules into static/vendor/, and draws the icon sprite.
// Run by `npm ci` (postinstall). Needs nothing but node; stops with a message when a file or an icon is missing.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const MODULES = join(ROOT, "node_modules");
const VENDOR = join(ROOT, "static", "vendor");

// Names in the templates ({% icon "name" %}) are the names of Tabler's outline icons.
const ICONS = [
  "activity", "adjustments", "alert-circle", "alert-triangle", "archive", "arrow-back-up", "arrow-down", "arrow-left", "arrow-right", "arrow-up", "bell", "bolt",
  "books", "brain", "building", "camera", "chart-bar", "chart-histogram", "check", "checklist", "chevron-down",
  "chevron-left", "chevron-right", "circle-check", "circle-x", "clipboard-check", "clock", "cloud-upload", "code",
  "copy", "database", "device-desktop", "device-mobile", "dots", "dots-vertical", "download", "edit", "external-link", "eye", "file-download",
  "file-spreadsheet", "file-text", "file-upload", "filter", "flag", "forms", "git-branch", "grid-dots", "hand-finger",
  "help-circle", "history", "home", "inbox", "info-circle", "key", "keyboard", "layout-grid", "link", "list", "list-check",
  "loader-2", "lock", "logout", "mail", "menu-2", "moon", "photo", "photo-off", "pencil", "player-pause", "player-play",
  "plug-connected", "plus", "power", "progress", "question-mark", "refresh", "report-analytics", "rocket", "route", "school", "search",
  "send", "settings", "shield-check", "sitemap", "sparkles", "star", "sun", "switch-horizontal", "table", "tag", "tags",
  "target", "trash", "trophy", "upload", "user", "user-check", "user-plus", "users", "webhook", "wand", "x",
];

/** Read a text file below node_modules, or stop with a message that names it. */
function read(path) {
  const full = join(MODULES, path);
  if (!existsSync(full)) throw new Error(`missing node_modules/${path}: run "npm ci" and look at package.json`);
  return readFileSync(full, "utf8");
}

/** Copy a text file without the pointer to its source map, which is not shipped (manifest storage would refuse it). */
function copyText(from, to) {
  const text = read(from).replace(/\/\*# sourceMappingURL=[^*]*\*\/|\/\/# sourceMappingURL=\S*/g, "").trimEnd();
  const outside = [...text.matchAll(/url\(\s*["']?(?!data:|#)([^"')]+)/g)].map((match) => match[1]);
  if (to.endsWith(".css") && outside.length) throw new Error(`${from} refers to files that are not copied: ${outside}`);
  writeFileSync(join(VENDOR, to), `${text}\n`);
}

/** Turn one icon file into a <symbol>; the invisible bounding box path is dropped. */
function symbol(name) {
  const svg = read(`@tabler/icons/icons/outline/${name}.svg`);
  const body = svg.replace(/<!--[\s\S]*?-->/g, "").match(/<svg[^>]*>([\s\S]*)<\/svg>/)[1]
    .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*\/>/, "").replace(/\s+/g, " ").trim();
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" `
    + `stroke-linecap="round" stroke-linejoin="round">${body}</symbol>`;
}

function main() {
  rmSync(VENDOR, { recursive: true, force: true });
  mkdirSync(VENDOR, { recursive: true });
  copyText("@tabler/core/dist/css/tabler.min.css", "tabler.min.css");
  copyText("chart.js/dist/chart.umd.js", "chart.umd.js");
  for (const subset of ["latin", "latin-ext"]) {
    const name = `inter-${subset}-wght-normal.woff2`;
    const from = join(MODULES, "@fontsource-variable/inter/files", name);
    if (!existsSync(from)) throw new Error(`missing ${name} in @fontsource-variable/inter`);
    copyFileSync(from, join(VENDOR, name));
  }
  const symbols = [...new Set(ICONS)].sort().map(symbol).join("\n");
  writeFileSync(join(VENDOR, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols}\n</svg>\n`);
  console.log(`static/vendor: tabler.min.css, chart.umd.js, Inter, ${ICONS.length} icons`);
}

try {
  main();
} catch (error) {
  console.error(`assets: ${error.message}`);
  process.exit(1);
}
