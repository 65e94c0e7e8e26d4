// The picture, larger, in a dialog: a click on .unit-picture or [data-zoom], or labeling.zoom(element) for the key Z.
// In the dialog a click (or Z, +, -) changes between the whole picture and twice its size; Escape closes.
(() => {
  const labeling = (window.labeling ??= {});
  const dialog = () => document.getElementById("zoom");
  const box = () => dialog().querySelector(".zoom-box");
  const picture = () => dialog().querySelector("[data-zoom-picture]");

  const open = (source, text) => {
    const large = picture();
    large.src = source;
    large.alt = text || "Picture";
    dialog().classList.remove("zoom-in");
    dialog().showModal();
    box().focus();
  };
  /** Change the size; the point at (x, y) of the window, by default the middle, comes to the middle. */
  const resize = (closer, x = innerWidth / 2, y = innerHeight / 2) => {
    const before = picture().getBoundingClientRect();
    const place = [(x - before.left) / before.width, (y - before.top) / before.height];
    dialog().classList.toggle("zoom-in", closer);
    const [width, height] = [picture().offsetWidth, picture().offsetHeight];
    box().scrollTo({
      left: width * place[0] - box().clientWidth / 2, top: height * place[1] - box().clientHeight / 2, behavior: "instant",
    });
  };

  /** Open the picture in `element`; false when it has none. */
  labeling.zoom = (element) => {
    const link = element?.querySelector("[data-zoom]");
    const image = element?.querySelector(".unit-picture");
    if (link) open(link.dataset.zoom, (link.getAttribute("aria-label") || "").replace(", larger", ""));
    else if (image) open(image.src, image.alt);
    return Boolean(link || image);
  };

  document.addEventListener("click", (event) => {
    if (!dialog() || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest?.("[data-zoom]");
    const image = event.target.closest?.("#unit .unit-picture");
    if (link) {
      event.preventDefault();
      open(link.dataset.zoom, link.getAttribute("aria-label") || link.querySelector("img")?.alt);
    } else if (image) {
      event.preventDefault();
      open(image.src, image.alt);
    } else if (event.target.matches?.("[data-zoom-picture]")) {
      resize(!dialog().classList.contains("zoom-in"), event.clientX, event.clientY);
    } else if (event.target === box()) {
      dialog().close();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (!dialog()?.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const closer = { z: !dialog().classList.contains("zoom-in"), "+": true, "=": true, "-": false }[event.key.toLowerCase()];
    if (closer === undefined) return;
    event.preventDefault();
    resize(closer);
  });
})();
