// Charts that stay alive: one Vega view per chart, rows pushed in place, laid out again (never
// scaled) at a new width, reachable by keyboard. No import or export here: this text is joined
// with panel.js into one ES module.

const VEGA_SLOT = "__efficiencyWorkbenchVega";
const VEGA_PATH = "lab/extensions/efficiency-workbench/static/vega.js";
const REACH = 14; // px around a mark that still count as on it: 28 px targets

const CHART_STYLE = `
.wb-chart { position: relative; min-width: 0; width: 100%; font-variant-numeric: tabular-nums; }
.wb-chart-plot { position: relative; min-width: 0; border-radius: 3px; }
.wb-chart-plot:focus-visible { outline: 2px solid var(--wb-focus); outline-offset: 2px; }
.wb-chart-plot svg { display: block; overflow: visible; }
.wb-chart-plot svg text { font-variant-numeric: tabular-nums; }
.wb-chart-plot[data-pick="true"] { cursor: pointer; }
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

function loadVega(model) {
  if (!window[VEGA_SLOT]) {
    window[VEGA_SLOT] = importVega(model).catch((error) => {
      window[VEGA_SLOT] = null; // a later panel may try again
      throw error;
    });
  }
  return window[VEGA_SLOT];
}

async function importVega(model) {
  const config = document.getElementById("jupyter-config-data");
  if (config) {
    try {
      const base = JSON.parse(config.textContent).baseUrl || "/";
      const folder = new URL(base.endsWith("/") ? base : base + "/", window.location.href);
      return await import(new URL(VEGA_PATH, folder).href);
    } catch (error) {
      // The server of this page does not hold our file (another environment): ask the kernel.
    }
  }
  if (!model) throw new Error("The chart library is not served here and there is no kernel to ask");
  const source = await vegaFromKernel(model);
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return await import(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

function vegaFromKernel(model) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      window.clearTimeout(timer);
      model.off("msg:custom", receive);
    };
    const timer = window.setTimeout(() => {
      stop();
      reject(new Error("The kernel did not send the chart library within 60 s"));
    }, 60000);
    function receive(content, buffers) {
      if (!content || content.type !== "vega" || !buffers || !buffers.length) return;
      stop();
      resolve(new TextDecoder().decode(buffers[0]));
    }
    model.on("msg:custom", receive);
    model.send({ type: "vega" });
  });
}

// ---- numbers: the rules of workbench/figures/numbers.py ------------------------------------

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷",
  8: "⁸", 9: "⁹" };

function formatNumber(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const sign = value < 0 ? "−" : "";
  if (!Number.isFinite(value)) return sign + "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power >= 6 || power < -4) {
    const raised = String(power).replace(/./g, (letter) => SUPERSCRIPT[letter]);
    const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return short === "1" ? `${sign}10${raised}` : `${sign}${short} × 10${raised}`;
  }
  const places = Number.isInteger(value) ? 0 : Math.max(0, digits - 1 - power);
  const [whole, part] = size.toFixed(places).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u2009");
  return sign + grouped + (part ? "." + part : "");
}

function formatCell(value, unit) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  return formatNumber(value) + (unit ? " " + unit : "");
}

// ---- a chart -------------------------------------------------------------------------------

function createChart(host, { onPick, onHover, model, vega } = {}) {
  installChartStyle(host);
  const root = chartElement("div", "wb-chart");
  const plot = chartElement("div", "wb-chart-plot", {
    tabindex: "0", role: "application", "aria-roledescription": "chart",
    "data-lm-suppress-shortcuts": "true",
  });
  const canvas = chartElement("div", "wb-chart-canvas");
  const cursor = chartElement("div", "wb-chart-cursor", { "aria-hidden": "true" });
  const spoken = chartElement("div", "wb-chart-spoken", { "aria-live": "polite" });
  const empty = chartElement("div", "wb-chart-empty");
  const tablePlace = chartElement("div", "wb-chart-table", {
    tabindex: "0", role: "region", "aria-label": "Table of this chart",
    "data-lm-suppress-shortcuts": "true",
  });
  const toggle = chartElement("button", "wb-chart-toggle", {
    type: "button", "aria-pressed": "false", "data-lm-suppress-shortcuts": "true",
  });
  toggle.textContent = "Show table";
  cursor.hidden = empty.hidden = tablePlace.hidden = true;
  cursor.style.display = "none";
  plot.append(canvas, cursor);
  root.append(toggle, plot, empty, tablePlace, spoken);
  host.replaceChildren(root);

  let view = null;
  let vegaModule = null;
  let template = ""; // the specification without its rows, as text
  let about = {}; // usermeta.workbench of the specification
  let description = "";
  let data = {}; // rows by data set name
  let width = 0;
  let current = null; // key of the row the keyboard stands on
  let hovered = null;
  let gone = false;
  let settled = 0;
  let queue = Promise.resolve();

  function enqueue(work) {
    const done = queue.then(() => (gone ? undefined : work()));
    queue = done.catch(() => undefined);
    return done;
  }

  function nameIn(spec) {
    return ((spec.usermeta && spec.usermeta.workbench) || {}).data || "live";
  }

  function mainName() {
    return about.data || "live";
  }

  // A cell of a heat map or a step of a curve is no trial whose settings could be loaded.
  function pickable() {
    return Boolean(onPick) && about.pick !== false;
  }

  function mainRows() {
    return data[mainName()] || [];
  }

  // Everything that depends on whether there is something to see.
  function showState() {
    const none = mainRows().length === 0;
    const asTable = toggle.getAttribute("aria-pressed") === "true";
    empty.textContent = about.empty || "Nothing to show yet. Run to see a result here.";
    empty.hidden = !none;
    empty.style.display = none ? "" : "none";
    plot.style.display = none || asTable ? "none" : "";
    toggle.style.display = none ? "none" : "";
    tablePlace.hidden = none || !asTable;
    if (!tablePlace.hidden) tablePlace.replaceChildren(chartTable(mainRows(), about, description));
  }

  async function embed(spec) {
    vegaModule = vegaModule || (await (vega || (model ? loadVega(model) : sharedVega())));
    if (gone) return;
    if (view) view.finalize();
    width = Math.floor(host.clientWidth) || spec.width || 400;
    const drawn = {
      ...spec,
      width,
      autosize: { type: "fit-x", contains: "padding" },
      // Text is measured in the font it is shown in, which a CSS variable would hide.
      config: { ...spec.config, font: window.getComputedStyle(host).fontFamily },
    };
    const result = await vegaModule.vegaEmbed(canvas, drawn, {
      actions: false, renderer: "svg", defaultStyle: false, tooltip: false,
    });
    view = result.view;
    current = hovered = null;
    cursor.style.display = "none";
  }

  function setChart(chart) {
    return enqueue(async () => {
      const { datasets: inside = {}, ...rest } = chart.spec;
      const given = Array.isArray(chart.rows) ? { [nameIn(rest)]: chart.rows } : chart.rows || {};
      const datasets = { ...inside, ...given };
      // Words about the finding change with the rows and are no reason to draw again.
      const text = JSON.stringify({ ...rest, description: "", usermeta: null });
      about = (rest.usermeta && rest.usermeta.workbench) || {};
      description = chart.description || rest.description || "";
      plot.setAttribute("aria-label", `${description} Arrow keys move from point to point.`);
      if (view && text === template) {
        for (const [name, rows] of Object.entries(datasets)) pushRows(name, rows);
        view.description(description);
        await run();
        const svg = canvas.querySelector("svg.marks");
        if (svg) svg.setAttribute("aria-label", description);
      } else {
        data = { ...datasets };
        template = text;
        showState(); // before embedding, so that the width is the real one
        await embed({ ...rest, datasets: { ...emptySets(rest), ...data } });
      }
      showState();
      placeCursor();
    });
  }

  // Rows with a key keep their mark, so that it moves instead of being born again.
  function pushRows(name, rows) {
    const old = data[name];
    data[name] = rows;
    if (!view || old === rows) return;
    let present;
    try {
      present = view.data(name);
    } catch (error) {
      return; // the specification does not use this data set
    }
    const keys = new Set(rows.map((row) => row.key));
    const keyed = name === mainName() && keys.size === rows.length && !keys.has(undefined);
    const living = new Map(present.map((tuple) => [tuple.key, tuple]));
    if (!keyed || living.size !== present.length) {
      const fresh = rows.map((row) => ({ ...row }));
      view.change(name, vegaModule.vega.changeset().remove(() => true).insert(fresh));
      return;
    }
    const change = vegaModule.vega.changeset().remove((tuple) => !keys.has(tuple.key));
    for (const row of rows) {
      const tuple = living.get(row.key);
      if (!tuple) change.insert({ ...row });
      else {
        for (const [field, value] of Object.entries(row)) {
          if (tuple[field] !== value) change.modify(tuple, field, value);
        }
      }
    }
    view.change(name, change);
  }

  function setRows(name, rows) {
    return enqueue(async () => {
      pushRows(name, rows);
      showState();
      await run();
      placeCursor();
    });
  }

  // Marks glide only when their rows change, not when the chart is laid out at a new width.
  async function run() {
    if (!view) return;
    if (!fitWidth()) {
      plot.dataset.moving = "true";
      window.clearTimeout(settled);
      settled = window.setTimeout(() => delete plot.dataset.moving, 200);
    }
    await view.runAsync();
  }

  // Float32 columns one after another in one buffer, the cheapest way for thousands of rows.
  function setColumns(name, names, buffer) {
    const bytes = ArrayBuffer.isView(buffer)
      ? buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength)
      : buffer;
    const values = new Float32Array(bytes);
    const count = names.length ? values.length / names.length : 0;
    if (!Number.isInteger(count)) {
      return Promise.reject(
        new Error(`${values.length} numbers do not fill ${names.length} columns`),
      );
    }
    const rows = Array.from({ length: count }, (_, index) => {
      const row = {};
      names.forEach((column, place) => {
        const value = values[place * count + index];
        row[column] = Number.isNaN(value) ? null : value;
      });
      if (row.key === undefined) row.key = index;
      return row;
    });
    return setRows(name, rows);
  }

  function fitWidth() {
    const wanted = Math.floor(host.clientWidth);
    if (!view || !wanted || wanted === width) return false;
    width = wanted;
    view.width(wanted);
    return true;
  }

  function resize(wanted) {
    return enqueue(async () => {
      if (!view) return;
      if (wanted) {
        width = Math.floor(wanted);
        view.width(width);
      } else if (!fitWidth()) return;
      await view.runAsync();
      placeCursor();
    });
  }

  // ---- points: where they are, how the keyboard and the pointer reach them

  function points() {
    if (!view) return [];
    const wanted = new Set((about.travel || ["points"]).map((name) => name + "_marks"));
    const padding = view.padding();
    const [x, y] = view.origin();
    const found = [];
    walkMarks(view.scenegraph().root.items[0], x + (padding.left || 0), y + (padding.top || 0), wanted, found);
    return found;
  }

  function pointOf(key) {
    return points().find((point) => point.row.key === key);
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let reach = REACH;
    for (const point of points()) {
      const away = Math.hypot(
        Math.max(Math.abs(x - point.x) - point.halfWidth, 0),
        Math.max(Math.abs(y - point.y) - point.halfHeight, 0),
      );
      if (away < reach || (away === 0 && reach === 0)) {
        best = point;
        reach = away;
      }
    }
    return best;
  }

  function placeCursor() {
    const point = current === null ? null : pointOf(current);
    const shown = point && plot.contains(document.activeElement);
    cursor.hidden = !shown;
    cursor.style.display = shown ? "" : "none";
    if (!shown) return;
    const wide = Math.max(2 * point.halfWidth, point.box ? 0 : 12) + (point.box ? 4 : 6);
    const high = Math.max(2 * point.halfHeight, point.box ? 0 : 12) + (point.box ? 4 : 6);
    Object.assign(cursor.style, {
      left: `${point.x - wide / 2}px`, top: `${point.y - high / 2}px`,
      width: `${wide}px`, height: `${high}px`, borderRadius: point.box ? "2px" : "50%",
    });
  }

  function focusPoint(key, speak = true) {
    const point = pointOf(key);
    if (!point) return false;
    current = key;
    placeCursor();
    if (speak) spoken.textContent = speech(point.row, about);
    hover(point.row);
    return true;
  }

  function hover(row) {
    const key = row ? row.key : null;
    if (key === hovered) return;
    hovered = key;
    plot.dataset.pick = row && pickable() ? "true" : "false";
    if (onHover) onHover(row);
  }

  function travel(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const all = points();
    if (!all.length) return;
    if (event.key === "Enter") {
      const point = current === null ? null : pointOf(current);
      if (point && pickable()) onPick(point.row);
    } else {
      const next = neighbour(all, current, event.key, about.series || "method");
      if (!next) return;
      focusPoint(next.row.key);
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function toggleTable(shown) {
    const now = shown === undefined ? toggle.getAttribute("aria-pressed") !== "true" : shown;
    toggle.setAttribute("aria-pressed", String(now));
    toggle.textContent = now ? "Show chart" : "Show table";
    showState();
    return now;
  }

  plot.addEventListener("keydown", travel);
  plot.addEventListener("focus", () => {
    const all = points();
    if (all.length) focusPoint(current !== null && pointOf(current) ? current : all[0].row.key);
  });
  plot.addEventListener("blur", () => {
    placeCursor();
    hover(null);
  });
  plot.addEventListener("pointermove", (event) => {
    const point = nearest(event);
    hover(point ? point.row : null);
  });
  plot.addEventListener("pointerleave", () => hover(null));
  plot.addEventListener("click", (event) => {
    const point = nearest(event);
    if (!point) return;
    focusPoint(point.row.key);
    if (pickable()) onPick(point.row);
  });
  toggle.addEventListener("click", () => toggleTable());

  let waiting = 0;
  const observer = new ResizeObserver(() => {
    window.cancelAnimationFrame(waiting);
    waiting = window.requestAnimationFrame(() => resize());
  });
  observer.observe(host);

  return {
    setChart, setRows, setColumns, resize, focusPoint, toggleTable,
    rows: (name) => (name ? data[name] || [] : mainRows()),
    svg: async () => (view ? view.toSVG() : ""),
    ready: () => queue,
    view: () => view,
    destroy() {
      gone = true;
      observer.disconnect();
      window.cancelAnimationFrame(waiting);
      if (view) view.finalize();
      view = null;
      host.replaceChildren();
    },
  };
}

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

// Waits for the library another part of the page is loading.
async function sharedVega() {
  for (let tries = 0; tries < 1200; tries += 1) {
    if (window[VEGA_SLOT]) return window[VEGA_SLOT];
    await new Promise((resolve) => window.setTimeout(resolve, 50));
  }
  throw new Error("The chart library was not loaded within 60 s");
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
