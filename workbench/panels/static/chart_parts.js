// What a chart is made of: its style, its elements, its marks in reading order, its table.

const CHART_STYLE = `
.wb-chart { position: relative; min-width: 0; width: 100%; font-variant-numeric: tabular-nums; }
.wb-chart-plot { position: relative; min-width: 0; border-radius: 3px; }
.wb-chart-plot:focus-visible { outline: 2px solid var(--wb-focus); outline-offset: 2px; }
.wb-chart-plot svg { display: block; overflow: visible; }
.wb-chart-plot svg text { font-variant-numeric: tabular-nums; }
.wb-chart-plot[data-pick="true"] { cursor: pointer; }
.wb-chart-plot :is(.labels_marks, .halo_marks, .readout_marks, .readout_halo_marks) {
  pointer-events: none; }
.wb-chart-cursor { position: absolute; box-sizing: border-box; pointer-events: none;
  border: 2px solid var(--wb-focus); }
.wb-chart-empty { display: flex; align-items: center; justify-content: center; min-height: 120px;
  padding: 16px; box-sizing: border-box; text-align: center; font-size: 12px; line-height: 16px;
  color: var(--wb-t2); background: var(--wb-fill); border-radius: 3px; }
.wb-chart-spoken { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.wb-chart-toggle { position: absolute; z-index: 1; top: -4px; right: 0; height: 24px;
  padding: 0 8px; font: inherit; font-size: 11px; color: var(--wb-t2); background: var(--wb-paper);
  border: 1px solid var(--wb-line); border-radius: 4px; cursor: pointer; opacity: 0; }
.wb-chart:hover .wb-chart-toggle, .wb-chart:focus-within .wb-chart-toggle,
.wb-chart-toggle[aria-pressed="true"] { opacity: 1; }
.wb-chart-toggle:hover { background: var(--wb-hover); }
.wb-chart-toggle:focus-visible { outline: 2px solid var(--wb-focus); outline-offset: 2px; }
.wb-chart-table { max-height: 300px; margin-top: 24px; overflow: auto; }
.wb-chart-table:focus-visible { outline: 2px solid var(--wb-focus); }
.wb-chart-table table { width: 100%; border-collapse: collapse; font-size: 12px;
  line-height: 16px; color: var(--wb-t1); }
.wb-chart-table caption { text-align: left; padding: 0 8px 6px; font-size: 11px;
  color: var(--wb-t2); }
.wb-chart-table th { position: sticky; top: 0; background: var(--wb-paper); font-weight: 400;
  font-size: 11px; color: var(--wb-t2); text-align: left; padding: 4px 8px; }
.wb-chart-table td { text-align: left; padding: 4px 8px; border-top: 1px solid var(--wb-line); }
.wb-chart-table .wb-number { text-align: right; }
@media (prefers-reduced-motion: no-preference) {
  .wb-chart-plot[data-moving="true"] .mark-symbol path { transition: transform 120ms ease-out; }
}
`;

// Every data set the layers name, so that one without rows yet can be filled later.
function emptySets(spec) {
  const found = {};
  const visit = (part) => {
    if (part.data && part.data.name) found[part.data.name] = [];
    for (const layer of part.layer || []) visit(layer);
  };
  visit(spec);
  return found;
}

function installChartStyle(host) {
  const root = host.getRootNode();
  const place = root instanceof ShadowRoot ? root : document.head;
  if (place.querySelector("style[data-wb-chart]")) return;
  const style = chartElement("style", "", { "data-wb-chart": "" });
  style.textContent = CHART_STYLE;
  place.append(style);
}

function chartElement(tag, name, attributes = {}) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function walkMarks(node, left, top, wanted, found) {
  for (const mark of node.items || []) {
    for (const item of mark.items || []) {
      if (mark.marktype === "group") {
        walkMarks(item, left + (item.x || 0), top + (item.y || 0), wanted, found);
      } else if (wanted.has(mark.name) && item.datum && item.opacity !== 0) {
        const box = mark.marktype === "rect";
        const bounds = box || mark.marktype === "symbol" ? item.bounds : null;
        const x = bounds ? (bounds.x1 + bounds.x2) / 2 : item.x;
        const y = bounds ? (bounds.y1 + bounds.y2) / 2 : item.y;
        found.push({
          x: left + x, y: top + y, row: item.datum, box,
          halfWidth: bounds ? (bounds.x2 - bounds.x1) / 2 : 0,
          halfHeight: bounds ? (bounds.y2 - bounds.y1) / 2 : 0,
        });
      }
    }
  }
}

// Left and right stay in a series; up and down go to the nearest point of the next one.
function neighbour(all, key, pressed, series) {
  const place = all.find((point) => point.row.key === key);
  if (!place) return ["Arrow", "Home", "End"].some((k) => pressed.startsWith(k)) ? all[0] : null;
  const mine = all
    .filter((point) => point.row[series] === place.row[series])
    .sort((a, b) => a.x - b.x || a.y - b.y);
  const index = mine.indexOf(place);
  if (pressed === "ArrowRight") return mine[Math.min(index + 1, mine.length - 1)];
  if (pressed === "ArrowLeft") return mine[Math.max(index - 1, 0)];
  if (pressed === "Home") return mine[0];
  if (pressed === "End") return mine[mine.length - 1];
  if (pressed !== "ArrowUp" && pressed !== "ArrowDown") return null;
  const way = pressed === "ArrowUp" ? -1 : 1;
  const names = [...new Set(all.map((point) => point.row[series]))];
  const level = new Map(names.map((name) => {
    const own = all.filter((point) => point.row[series] === name);
    return [name, own.reduce((sum, point) => sum + point.y, 0) / own.length];
  }));
  names.sort((a, b) => level.get(a) - level.get(b));
  const name = names[names.indexOf(place.row[series]) + way];
  if (name === undefined) return place;
  return all
    .filter((point) => point.row[series] === name)
    .reduce((a, b) => (Math.abs(b.x - place.x) < Math.abs(a.x - place.x) ? b : a));
}

function speech(row, about) {
  const parts = [];
  const label = [row[about.series || "method"], row.label];
  parts.push(...label.filter((part, i) => part && label.indexOf(part) === i));
  for (const column of about.speech || []) {
    if (row[column.field] === undefined || row[column.field] === null) continue;
    parts.push(`${column.title} ${formatCell(row[column.field], column.unit)}`);
  }
  if (row.predicted !== undefined) parts.push(row.predicted ? "predicted" : "measured");
  return parts.join(", ");
}

function chartTable(rows, about, description) {
  const columns = about.columns || Object.keys(rows[0] || {}).map((field) => ({ field, title: field }));
  const table = document.createElement("table");
  const caption = table.createCaption();
  caption.textContent = description;
  const head = table.createTHead().insertRow();
  const numeric = columns.map((column) =>
    rows.some((row) => typeof row[column.field] === "number"));
  columns.forEach((column, place) => {
    const cell = chartElement("th", numeric[place] ? "wb-number" : "", { scope: "col" });
    cell.textContent = column.title + (column.unit ? ` (${column.unit})` : "");
    head.append(cell);
  });
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    columns.forEach((column, place) => {
      const cell = line.insertCell();
      const value = row[column.field];
      if (numeric[place]) cell.className = "wb-number";
      if (column.field === "predicted") cell.textContent = value ? "predicted" : "measured";
      else cell.textContent = formatCell(value);
    });
  }
  return table;
}
