"""What a panel must not do on any page, as questions to the browser; each answers with a list."""

OVERFLOWING = """() => {
  const panel = document.querySelector('.wb-panel').getBoundingClientRect();
  return [...document.querySelectorAll('.wb-panel *')].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && !e.closest('.wb-spoken, .wb-chart-spoken, .wb-table-frame')
      && (box.right > panel.right + 1 || box.left < panel.left - 1);
  }).map((e) => e.outerHTML.slice(0, 100));
}"""

# Words that are cut: by an ellipsis, by a hidden overflow, or by a frame that scrolls sideways.
CUT = """() => [...document.querySelectorAll(
    '.wb-status-line *, .wb-table-frame, .wb-fold, .wb-slot-title, .wb-select')]
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
  .map((e) => `${e.className}: ${e.textContent.slice(0, 100)}`)"""

CUT_LABELS = """() => [...document.querySelectorAll('.wb-panel :is(.wb-button, .wb-pill, label)')]
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1 && !e.matches('.wb-fold'))
  .map((e) => e.textContent)"""

# Text whose contrast with the panel's ground is below 4.5.
FAINT = """() => {
  const parts = (text) => {
    const found = text.match(/[0-9.]+/g).map(Number).slice(0, 3);
    return text.startsWith('color(') ? found : found.map((value) => value / 255);
  };
  const light = (text) => {
    const [r, g, b] = parts(text).map(
      (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const panel = document.querySelector('.wb-panel');
  const ground = light(getComputedStyle(panel).backgroundColor);
  return [...panel.querySelectorAll('svg.marks text, .wb-slot-title, .wb-claim td, .wb-row label')]
    .filter((e) => e.textContent.trim() && e.checkVisibility())
    .map((e) => [e, getComputedStyle(e)])
    .filter(([e, style]) => !(e.ownerSVGElement && style.stroke !== 'none'))
    .map(([e, style]) => [e, light(e.ownerSVGElement ? style.fill : style.color)])
    .map(([e, ink]) => [e, (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)])
    .filter(([, contrast]) => contrast < 4.5)
    .map(([e, contrast]) => `${contrast.toFixed(2)}: ${e.textContent.slice(0, 40)}`);
}"""
GROUND = "() => getComputedStyle(document.querySelector('.wb-panel')).backgroundColor"
