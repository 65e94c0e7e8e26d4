"""Run by test_nasty.py: parses the pages of a folder with Chromium (as a document, without running it)."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.e2e.guide import launch_browser

LOOK = """pages => pages.flatMap(function look([name, html]) {
  const page = new DOMParser().parseFromString(html, "text/html"), found = [];
  for (const element of page.querySelectorAll("*")) {
    const tag = element.localName;
    if (tag === "iframe") {
      const own = element.matches(".preview-frame") && [...element.attributes].length === 3;
      found.push(...(own ? look([name + " preview", element.getAttribute("srcdoc")]) : ["iframe"]));
    }
    if (/^(xss7f|object|embed|base|applet|math|style|frame|frameset)$/.test(tag)) found.push(`<${tag}>`);
    if (tag === "meta" && element.httpEquiv) found.push("meta http-equiv");
    if (tag === "script" && !element.src && element.type !== "application/json") found.push("inline script");
    if (tag === "script" && element.type === "application/json") JSON.parse(element.textContent);
    for (const {name, value} of element.attributes) {
      if (name.startsWith("on") || name.includes("xss7f") || name === "style") found.push(`${tag} ${name}`);
      if (/^(href|src|action|formaction|data|poster|xlink:href)$/.test(name) &&
          /^(javascript|vbscript|data:text)/i.test(value.replace(/[\\x00-\\x20]/g, "")))
        found.push(`${tag} ${name}=${value}`);
    }
  }
  return found.map(what => `${name}: ${what}`);
})"""


def main(folder: Path) -> None:
    pages = [(path.name, path.read_text()) for path in sorted(folder.glob("*.html"))]
    browser_path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or ""
    with sync_playwright() as playwright:
        browser = launch_browser(playwright, browser_path)
        found = browser.new_page().evaluate(LOOK, pages)
        browser.close()
    json.dump({"pages": len(pages), "dangers": found}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
