// Glyphs of the interface (strokes in the text's colour) and marks of methods (fills in their hue).

const WB_SVG = "http://www.w3.org/2000/svg";

const WB_ICONS = {
  undo: "M5.5 3.5 2.5 6.5l3 3M2.5 6.5h7a3.5 3.5 0 0 1 0 7H7",
  redo: "M10.5 3.5l3 3-3 3M13.5 6.5h-7a3.5 3.5 0 0 0 0 7H9",
  pin: "M5.5 2.5h5M6.2 2.5v4L4 9.5h8l-2.2-3v-4M8 9.5v4.5",
  code: "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
  save: "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.5h10",
  down: "M4.5 6.5 8 10l3.5-3.5",
  close: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  reset: "M4 4.5v-2M4 4.5h2.2M4 4.5a5 5 0 1 1-1 4",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  grip: "M6 5 3 8l3 3M10 5l3 3-3 3",
};

function icon(name, size = 16) {
  const svg = document.createElementNS(WB_SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("class", "wb-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(WB_SVG, "path");
  path.setAttribute("d", WB_ICONS[name]);
  svg.append(path);
  return svg;
}

// Shapes in a box from -1 to 1, as Vega's symbols of the same names.
const WB_SHAPES = {
  circle: "M0.9 0A0.9 0.9 0 1 1-0.9 0A0.9 0.9 0 1 1 0.9 0Z",
  square: "M-0.8-0.8H0.8V0.8H-0.8Z",
  diamond: "M0-1 1 0 0 1-1 0Z",
  "triangle-up": "M0-0.9 1 0.8H-1Z",
  "triangle-down": "M0 0.9-1-0.8H1Z",
  "triangle-right": "M0.9 0-0.8-1V1Z",
};

// WB_MARKS comes from the palette: the mark of each slot, by name or as a path.
function mark(slot, size = 10) {
  const svg = document.createElementNS(WB_SVG, "svg");
  svg.setAttribute("viewBox", "-1.05 -1.05 2.1 2.1");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("class", "wb-mark");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(WB_SVG, "path");
  const shape = WB_MARKS[slot] || "circle";
  path.setAttribute("d", WB_SHAPES[shape] || shape);
  path.setAttribute("fill", slot < WB_MARKS.length ? `var(--wb-m${slot})` : "var(--wb-t3)");
  svg.append(path);
  return svg;
}

const WB_VERDICTS = {
  reproduced: ["ok", "Reproduced", "M5 8.2 7.1 10.3 11 6"],
  part: ["warn", "Reproduced in part", ""],
  failed: ["error", "Not reproduced", "M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8"],
  open: ["t3", "Not decided", "M5 8h6"],
};

// `silent` where the text beside the glyph says the same.
function verdictGlyph(verdict, size = 14, silent = false) {
  const [color, name, line] = WB_VERDICTS[verdict] || WB_VERDICTS.open;
  const svg = document.createElementNS(WB_SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("class", "wb-verdict");
  svg.setAttribute("role", "img");
  if (silent) svg.setAttribute("aria-hidden", "true");
  else svg.setAttribute("aria-label", name);
  const hue = `var(--wb-${color})`;
  if (verdict === "part") {
    svg.append(
      shape("circle", { cx: 8, cy: 8, r: 6.2, fill: "none", stroke: hue, "stroke-width": 1.6 }),
      shape("path", { d: "M8 2A6 6 0 0 1 8 14Z", fill: hue }),
    );
  } else {
    svg.append(
      shape("circle", { cx: 8, cy: 8, r: 7, fill: hue }),
      shape("path", { d: line, fill: "none", stroke: "var(--wb-paper)", "stroke-width": 1.7 }),
    );
  }
  return svg;
}

function ringGlyph() {
  const svg = document.createElementNS(WB_SVG, "svg");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("width", 8);
  svg.setAttribute("height", 8);
  svg.setAttribute("class", "wb-ring");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "predicted");
  svg.append(shape("circle", { cx: 5, cy: 5, r: 3.9, fill: "none", stroke: "currentColor",
    "stroke-width": 1.7 }));
  return svg;
}

function shape(tag, attributes) {
  const element = document.createElementNS(WB_SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
