// Slots of the picture: a titled place whose content is drawn by its kind and kept while it lasts.

// A move sends only what changed of a slot and names what is kept; a slot that was never seen
// whole (this view opened a moment ago) waits for the answer to its "hello".
function wholeSlots(slots, known) {
  const whole = {};
  for (const [id, { kept, ...content }] of Object.entries(slots)) {
    if (kept && !known[id]) continue;
    for (const [field, part] of kept || []) {
      if (part === undefined) content[field] = known[id][field];
      else content[field][part] = known[id][field][part];
    }
    whole[id] = content;
  }
  return whole;
}

function pictureGrid(ctx) {
  const slots = new Map();
  const rows = ctx.schema.layout.map((row, index) => {
    const places = row.map((slot) => {
      const place = slotPlace(ctx, slot, index);
      slots.set(slot.id, place);
      return place.node;
    });
    const node = h("div", { class: `wb-picture-row wb-of-${row.length}` }, places);
    node.style.setProperty("--columns", row.map((slot) => `minmax(0, ${slot.weight}fr)`).join(" "));
    if (index === 0 || !row.some((slot) => slot.folds)) return node;
    return foldable(node, row, slots);
  });
  const node = h("div", { class: "wb-picture", role: "region", "aria-label": "Picture" }, rows);
  const first = new Set(ctx.schema.layout[0].map((slot) => slot.id));
  let later = {};
  let frame = 0;
  function draw(changed) {
    for (const [id, content] of Object.entries(changed)) {
      if (slots.has(id)) slots.get(id).update(content);
    }
  }
  function drawLater() {
    const changed = later;
    later = {};
    frame = 0;
    draw(changed);
  }
  return {
    node,
    // The first row answers the move; the rest follows once it is on the screen.
    update(changed) {
      const all = Object.entries(changed);
      draw(Object.fromEntries(all.filter(([id]) => first.has(id))));
      Object.assign(later, Object.fromEntries(all.filter(([id]) => !first.has(id))));
      if (!frame) frame = window.requestAnimationFrame(() => whenIdle(drawLater));
    },
    destroy() {
      window.cancelAnimationFrame(frame);
      later = {};
      slots.forEach((place) => place.destroy());
    },
  };
}

function whenIdle(work) {
  if (window.requestIdleCallback) window.requestIdleCallback(work, { timeout: 100 });
  else window.setTimeout(work, 0);
}

// In one-column cells, later rows start folded; in wider ones those that say so, and the others
// have no button.
function foldable(node, row, slots) {
  const button = h("button", { class: "wb-button wb-fold", "aria-expanded": "false", onclick: () => {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    node.classList.toggle("wb-open", open);
    label();
  } });
  function label() {
    const open = button.getAttribute("aria-expanded") === "true";
    const names = row.map((slot) => slots.get(slot.id).title()).filter(Boolean).join(" · ");
    setText(button, `${open ? "Hide" : "Show"}: ${names || row.map((slot) => slot.id).join(", ")}`);
  }
  label();
  row.forEach((slot) => { slots.get(slot.id).onTitle = label; });
  const always = row.some((slot) => slot.folded);
  return h("div", { class: `wb-foldable${always ? " wb-folded" : ""}` }, button, node);
}

function slotPlace(ctx, slot, rowIndex) {
  const title = h("h3", { class: "wb-slot-title" });
  const subtitle = h("div", { class: "wb-subtitle" });
  const host = h("div", { class: "wb-slot-body" });
  const older = h("span", { class: "wb-older", text: "older settings", hidden: true });
  const head = h("div", { class: "wb-slot-head" },
    h("div", { class: "wb-slot-names" }, title, subtitle), older);
  const node = h("section", { class: `wb-slot wb-slot-${slot.kind}`, "data-slot": slot.id }, head, host);
  let drawn = null; // { kind, update, destroy }
  const waiting = h("div", { class: "wb-empty", text: "No picture yet" });
  host.append(waiting);
  const place = {
    node,
    onTitle: null,
    title: () => title.textContent,
    update(content) {
      setText(title, content.title || "");
      // Same height, so that nothing jumps: the words are replaced, or stand beside the title.
      if (content.stale && !node.hasAttribute("data-stale")) {
        subtitle.style.minHeight = `${subtitle.offsetHeight}px`;
      } else if (!content.stale) subtitle.style.minHeight = "";
      setText(subtitle, content.stale && content.subtitle ? "older settings" : content.subtitle || "");
      older.hidden = !(content.stale && !content.subtitle);
      node.setAttribute("aria-label", content.title || slot.id);
      head.hidden = !content.title && !content.subtitle;
      subtitle.hidden = !subtitle.textContent;
      setFlag(node, "data-stale", content.stale);
      if (!drawn || drawn.kind !== content.kind) {
        if (drawn) drawn.destroy();
        host.replaceChildren();
        drawn = { kind: content.kind, ...WB_KINDS[content.kind](ctx, slot, host, rowIndex) };
      }
      drawn.update(content);
      if (place.onTitle) place.onTitle();
    },
    destroy: () => drawn && drawn.destroy(),
  };
  return place;
}

const DRAWN = ["spec", "rows", "height", "description"]; // fields of a chart's content

function chartSlot(ctx, slot, host, rowIndex) {
  const chart = createChart(host, {
    model: ctx.model,
    onPick: (row) => ctx.load(row.load ?? row.key, "chart"),
  });
  let before = null;
  return {
    update(content) {
      const same = before && DRAWN.every((field) => before[field] === content[field]);
      before = content;
      if (same) return; // what is kept is the same object: only words beside the chart changed
      const main = ((content.spec.usermeta || {}).workbench || {}).data || "live";
      const sets = Array.isArray(content.rows) ? { [main]: content.rows } : content.rows;
      const height = content.height || slot.height || content.spec.height || (rowIndex === 0 ? 264 : 190);
      const datasets = { ...(content.spec.datasets || {}), ...(Object.keys(sets).length ? sets : {}) };
      if (datasets[main] && datasets[main].length === 0 && !Object.keys(sets).length) delete datasets[main];
      chart.setChart({ spec: { ...content.spec, height, datasets }, description: content.description })
        .catch((error) => ctx.note(`The chart could not be drawn: ${error.message}`, "error"));
    },
    destroy: () => chart.destroy(),
  };
}

function figuresSlot(ctx, slot, host) {
  const strip = h("dl", { class: "wb-figures" });
  host.append(strip);
  return {
    update(content) {
      strip.replaceChildren(...content.figures.map((figure) => {
        const guess = figure.basis === "predicted";
        return h("div", { class: "wb-figure", "data-basis": figure.basis },
          h("dt", { class: "wb-figure-label" }, guess ? ringGlyph() : null, h("span", { text: figure.label })),
          h("dd", { class: "wb-figure-value" }, `${guess ? "≈ " : ""}${figure.value}`,
            figure.unit ? h("span", { class: "wb-figure-unit", text: ` ${figure.unit}` }) : null),
          h("dd", { class: "wb-figure-interval", text: figure.interval }));
      }));
    },
    destroy() {},
  };
}

function tableSlot(ctx, slot, host) {
  const frame = h("div", { class: "wb-table-frame", tabindex: "0", role: "region", "aria-label": "Table" });
  host.append(frame);
  const cellClass = (column) =>
    [column.number && "wb-right", column.optional && "opt", column.wrap && "wb-wrap"].filter(Boolean).join(" ");
  function cellOf(cell, column) {
    const part = typeof cell === "object" && cell !== null ? cell : { text: String(cell), basis: "measured" };
    const node = h("td", { class: cellClass(column) });
    if (part.method !== null && part.method !== undefined) node.append(mark(part.method, 10), " ");
    if (part.share !== null && part.share !== undefined) {
      const bar = h("span", { class: "wb-share" }, h("span"));
      bar.style.setProperty("--share", part.share);
      bar.style.setProperty("--hue", part.method == null ? "var(--wb-t2)" : `var(--wb-m${part.method})`);
      node.append(bar);
    }
    if (part.verdict) node.append(verdictGlyph(part.verdict, 13, true), " ");
    if (part.basis === "predicted") node.append(ringGlyph(), " ≈ ");
    node.append(h(part.strong ? "b" : "span", { text: part.text }));
    if (part.note) node.append(h("span", { class: "wb-quiet", text: ` ${part.note}` }));
    return node;
  }
  return {
    update(content) {
      const head = h("tr", {}, content.columns.map((column) =>
        h("th", { scope: "col", class: cellClass(column), text: column.label })));
      const rows = content.rows.map((cells, index) => {
        const line = h("tr", {}, cells.map((cell, at) => cellOf(cell, content.columns[at] || {})));
        const key = content.keys[index];
        if (key) {
          line.classList.add("wb-pickable");
          const first = line.firstChild;
          const button = h("button", { class: "wb-cell-button", onclick: () => ctx.load(key, "table") }, ...first.childNodes);
          first.replaceChildren(button);
        }
        return line;
      });
      const many = content.columns.length > 9 ? " wb-many" : "";
      frame.replaceChildren(h("table", { class: `wb-table${many}` }, h("thead", {}, head), h("tbody", {}, rows)));
    },
    destroy() {},
  };
}

function emptySlot(ctx, slot, host) {
  return {
    update(content) {
      host.replaceChildren(h("div", { class: "wb-empty" }, h("p", { text: content.text }),
        content.action ? h("button", { class: "wb-button",
          onclick: () => (content.key ? ctx.load(content.key, "empty") : ctx.send("run")) }, content.action) : null));
    },
    destroy() {},
  };
}
