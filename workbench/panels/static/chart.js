// Charts that stay alive: one Vega view per chart, rows pushed in place, laid out again (never
// scaled) at a new width, reachable by keyboard. No import or export here: this text is joined
// with panel.js into one ES module.

const REACH = 14; // px around a mark that still count as on it: 28 px targets

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
  let template = ""; // the specification without its rows and values, as text
  let values = {}; // of its parameters, by name: axis ends, ticks and their words
  let about = {}; // usermeta.workbench of the specification
  let description = "";
  let data = {}; // rows by data set name
  let width = 0;
  let room = 0; // width of the host as last observed: asking for it would lay out the page
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
    room = Math.floor(host.clientWidth);
    width = room || spec.width || 400;
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
      const { datasets: inside = {}, params = [], ...rest } = chart.spec;
      const given = Array.isArray(chart.rows) ? { [nameIn(rest)]: chart.rows } : chart.rows || {};
      const datasets = { ...inside, ...given };
      const selections = params.filter((param) => !("value" in param));
      const valued = params.filter((param) => "value" in param);
      const names = valued.map((param) => param.name);
      // Words about the finding change with the rows and are no reason to draw again.
      const text = JSON.stringify({ ...rest, selections, names, description: "", usermeta: null });
      about = (rest.usermeta && rest.usermeta.workbench) || {};
      description = chart.description || rest.description || "";
      plot.setAttribute("aria-label", `${description} Arrow keys move from point to point.`);
      if (view && text === template) {
        for (const [name, rows] of Object.entries(datasets)) pushRows(name, rows);
        pushValues(valued);
        view.description(description);
        await run();
        const svg = canvas.querySelector("svg.marks");
        if (svg) svg.setAttribute("aria-label", description);
      } else {
        data = { ...datasets };
        template = text;
        values = Object.fromEntries(valued.map((param) => [param.name, param.value]));
        showState(); // before embedding, so that the width is the real one
        await embed({ ...rest, params, datasets: { ...emptySets(rest), ...data } });
      }
      showState();
      placeCursor();
    });
  }

  function pushValues(valued) {
    for (const { name, value } of valued) {
      if (JSON.stringify(values[name]) === JSON.stringify(value)) continue;
      values[name] = value;
      view.signal(name, value);
    }
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
        for (const field in row) {
          if (tuple[field] !== row[field]) change.modify(tuple, field, row[field]);
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
    if (!view || !room || room === width) return false;
    width = room;
    view.width(width);
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
    room = Math.floor(host.clientWidth);
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
