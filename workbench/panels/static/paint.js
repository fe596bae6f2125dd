// A grid one can paint: columns are steps, rows are blocks. One tab stop; arrows move, space and
// Enter toggle, Shift and an arrow paint a run; the pointer paints by dragging.

function paintSlot(ctx, slot, host) {
  const brushes = h("div", { class: "wb-segments wb-brushes", role: "radiogroup", "aria-label": "Brush" });
  const fill = h("select", { class: "wb-select wb-fill", "aria-label": "Lay over all steps" });
  const buttons = h("span", { class: "wb-paint-actions" });
  const grid = h("div", { class: "wb-paint", role: "grid", tabindex: "0", "aria-label": "Steps by blocks" });
  const spoken = h("div", { class: "wb-note wb-paint-at", "aria-live": "polite" });
  const note = h("div", { class: "wb-note" });
  host.append(h("div", { class: "wb-paint-tools" }, brushes,
    h("span", { class: "wb-select-frame" }, fill, icon("down", 14)), h("span", { class: "wb-space" }), buttons),
  grid, spoken, note);
  const view = { grid: null, brush: 0, at: [0, 0], cells: [], bars: [], made: "" };
  const said = ["computed", "kept", "computed in part, the rest kept"];

  const shown = () => ((ctx.get("hints") || {}).grids || {})[slot.id];
  const brush = () => view.grid.brushes[view.brush];

  function words(column, row) {
    const { grid: g } = view;
    const state = Number(g.rows[row].cells[column]);
    const from = state && g.sources[column] >= 0 ? ` from ${g.column} ${g.sources[column]}` : "";
    return `${g.column} ${column}, ${g.rows[row].label}: ${said[state]}${from}`;
  }

  function build() {
    const g = view.grid;
    const count = g.columns.length;
    grid.style.setProperty("--count", count);
    grid.setAttribute("aria-colcount", count + 1);
    view.cells = g.rows.map(() => g.columns.map(() => h("span", { role: "gridcell", id: freshId("cell"), class: "wb-paint-cell" })));
    view.bars = g.columns.map(() => h("span", { class: "wb-paint-bar" }, h("span")));
    const heads = g.columns.map((_, column) => h("span", { class: "wb-paint-tick",
      text: column % (count > 60 ? 10 : count > 24 ? 5 : 2) === 0 ? String(column) : "" }));
    grid.replaceChildren(
      ...g.rows.map((row, y) => h("div", { class: "wb-paint-row", role: "row" },
        h("span", { class: "wb-paint-name", role: "rowheader" }, h("span", { text: row.label }), h("span", { class: "wb-paint-share", text: row.note })),
        view.cells[y])),
      h("div", { class: "wb-paint-row wb-paint-ticks", "aria-hidden": "true" }, h("span", { class: "wb-paint-name", text: g.column }), heads),
      h("div", { class: "wb-paint-row wb-paint-bars", "aria-hidden": "true" }, h("span", { class: "wb-paint-name", text: g.height }), view.bars));
  }

  function tools() {
    const g = view.grid;
    view.brush = Math.min(view.brush, g.brushes.length - 1);
    brushes.replaceChildren(...g.brushes.map((one, index) => h("button", {
      role: "radio", "aria-checked": String(index === view.brush), tabindex: index === view.brush ? "0" : "-1",
      title: one.help, text: one.label, onclick: () => choose(index), onkeydown: (event) => {
        const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!way) return;
        event.preventDefault();
        event.stopPropagation();
        choose((index + way + g.brushes.length) % g.brushes.length);
        brushes.children[view.brush].focus();
      } })));
    fill.replaceChildren(h("option", { value: "", text: "Start from …" }),
      ...g.fills.map(([id, label]) => h("option", { value: id, text: label })));
    buttons.replaceChildren(...g.actions.map(([id, label]) =>
      h("button", { class: "wb-button", onclick: () => ctx.send("act", { id }) }, label)));
  }

  function choose(index) {
    view.brush = index;
    [...brushes.children].forEach((button, place) => {
      setAttribute(button, "aria-checked", String(place === index));
      button.tabIndex = place === index ? 0 : -1;
    });
  }

  function draw() {
    const next = shown();
    if (!next) return;
    view.grid = next;
    const made = JSON.stringify([next.rows.map((row) => [row.id, row.note]), next.columns.length, next.brushes, next.fills, next.actions]);
    if (made !== view.made) {
      view.made = made;
      build();
      tools();
    }
    grid.style.setProperty("--hue", `var(--wb-m${next.mark})`);
    const wrong = new Set(next.wrong);
    view.cells.forEach((line, row) => line.forEach((cell, column) => {
      setAttribute(cell, "data-cell", next.rows[row].cells[column]);
      setAttribute(cell, "aria-label", words(column, row));
      setAttribute(cell, "aria-invalid", wrong.has(column) ? "true" : null);
    }));
    view.bars.forEach((bar, column) => {
      bar.firstChild.style.height = `${100 * clamp(next.heights.length ? next.heights[column] : 0, 0, 1)}%`;
    });
    setText(note, next.note);
    point(view.at[0], view.at[1]);
  }

  function point(column, row) {
    const before = (view.cells[view.at[1]] || [])[view.at[0]];
    if (before) before.removeAttribute("data-at");
    view.at = [clamp(column, 0, view.grid.columns.length - 1), clamp(row, 0, view.grid.rows.length - 1)];
    const cell = view.cells[view.at[1]][view.at[0]];
    setFlag(cell, "data-at", true);
    grid.setAttribute("aria-activedescendant", cell.id);
    setText(spoken, words(...view.at));
  }

  // A stroke that begins on what the brush made takes it back.
  const stroke = { on: false, begins: false, erase: false, waiting: [], frame: 0 };
  function begin(column, row) {
    const one = brush();
    stroke.on = stroke.begins = true;
    stroke.erase = view.grid.columns[column] === one.id && (!one.rows || view.grid.rows[row].held);
    touch(column, row);
  }
  function touch(column, row) {
    stroke.waiting.push([column, view.grid.rows[row].id]);
    if (!stroke.frame) stroke.frame = window.requestAnimationFrame(flush);
  }
  function flush() {
    window.cancelAnimationFrame(stroke.frame);
    stroke.frame = 0;
    if (!stroke.waiting.length) return;
    ctx.send("paint", { slot: slot.id, brush: brush().id, begins: stroke.begins, erase: stroke.erase, cells: stroke.waiting });
    stroke.waiting = [];
    stroke.begins = false;
  }
  function end() {
    flush();
    stroke.on = false;
  }

  function under(event) {
    const target = grid.getRootNode().elementFromPoint(event.clientX, event.clientY);
    const row = view.cells.findIndex((line) => line.includes(target));
    return row < 0 ? null : [view.cells[row].indexOf(target), row];
  }
  grid.addEventListener("pointerdown", (event) => {
    const place = event.button === 0 && under(event);
    if (!place) return;
    grid.setPointerCapture(event.pointerId);
    point(...place);
    begin(...place);
  });
  grid.addEventListener("pointermove", (event) => {
    const place = under(event);
    if (!place) return;
    if (!stroke.on) return void setText(spoken, words(...place));
    const [from, to] = [view.at, place];
    if (from[0] === to[0] && from[1] === to[1]) return;
    // A quick hand skips cells; the stroke does not.
    for (let x = from[0]; x !== to[0];) {
      x += Math.sign(to[0] - x);
      touch(x, to[1]);
    }
    if (from[0] === to[0]) touch(...to);
    point(...to);
  });
  for (const name of ["pointerup", "pointercancel"]) grid.addEventListener(name, () => stroke.on && end());
  grid.addEventListener("pointerleave", () => view.grid && setText(spoken, words(...view.at)));

  grid.addEventListener("keydown", (event) => {
    const [x, y] = view.at;
    const moves = { ArrowRight: [x + 1, y], ArrowLeft: [x - 1, y], ArrowDown: [x, y + 1], ArrowUp: [x, y - 1],
      Home: [0, y], End: [view.grid.columns.length - 1, y] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) {
      if (event.shiftKey && !stroke.on) begin(x, y);
      point(...moves[event.key]);
      if (event.shiftKey && (view.at[0] !== x || view.at[1] !== y)) {
        for (let step = x; step !== view.at[0];) {
          step += Math.sign(view.at[0] - step);
          touch(step, view.at[1]);
        }
        if (view.at[0] === x) touch(...view.at);
      }
    } else if (event.key === " " || event.key === "Enter") {
      begin(x, y);
      end();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  grid.addEventListener("keyup", (event) => { if (event.key === "Shift" && stroke.on) end(); });
  grid.addEventListener("blur", () => { if (stroke.on) end(); });
  fill.addEventListener("change", () => {
    if (fill.value) ctx.send("paint", { slot: slot.id, brush: fill.value, cells: [] });
    fill.value = "";
  });
  const stop = ctx.watch("hints", draw);
  return {
    update: draw,
    destroy() {
      window.cancelAnimationFrame(stroke.frame);
      stop();
    },
  };
}
