// Header: name and study line, undo, redo, pin, code, export; below it presets and pins.

function panelHeader(ctx) {
  const undo = h("button", { class: "wb-button wb-ghost wb-square", "aria-label": "Undo", title: "Undo (U)",
    onclick: () => ctx.send("undo") }, icon("undo"));
  const redo = h("button", { class: "wb-button wb-ghost wb-square", "aria-label": "Redo", title: "Redo (Shift+U)",
    onclick: () => ctx.send("redo") }, icon("redo"));
  const pin = h("button", { class: "wb-button wb-ghost", title: "Keep these settings beside what follows (P)",
    onclick: () => ctx.pin() }, icon("pin"), "Pin");
  const code = h("button", { class: "wb-button wb-ghost", title: "Copy the Python that makes this (C)",
    onclick: () => ctx.send("code") }, icon("code"), "Copy code");
  const menu = exportMenu(ctx);
  const node = h("header", { class: "wb-header" },
    h("div", { class: "wb-titles" }, h("h2", { text: ctx.schema.title }),
      h("div", { class: "wb-study", text: ctx.schema.study })),
    h("div", { class: "wb-tools", role: "toolbar", "aria-label": "Panel" }, undo, redo,
      h("span", { class: "wb-divider" }), pin, code, menu.node));
  return {
    node,
    menu,
    update() {
      const history = ctx.get("history") || {};
      // aria-disabled, not disabled: a button that loses focus would hand keys to JupyterLab.
      setAttribute(undo, "aria-disabled", String(!history.undo));
      setAttribute(redo, "aria-disabled", String(!history.redo));
    },
  };
}

function exportMenu(ctx) {
  const section = (behind) => ctx.schema.exports.filter((item) => item.behind === behind)
    .map((item) => ({ label: item.label, note: item.note, run: () => {
      ctx.note(`Writing ${item.label.toLowerCase()}`);
      ctx.send("export", { kind: item.kind });
    } }));
  const [shown, behind] = [section(false), section(true)];
  const menu = popupMenu("Export", () => button.setAttribute("aria-expanded", "false"));
  menu.fill([
    ...(shown.length ? [{ head: "The first chart, as shown" }, ...shown, { rule: true }] : []),
    ...(behind.length ? [{ head: "Behind it" }, ...behind, { rule: true }] : []),
    { label: "Copy settings as text", note: "S", key: "s", run: () => ctx.send("settings") },
  ]);
  const button = h("button", { class: "wb-button", "aria-haspopup": "menu", "aria-expanded": "false",
    "aria-controls": menu.node.id, title: "Export (E)", onclick: () => toggle() },
  icon("save"), "Export", icon("down", 14));
  function toggle() {
    if (menu.close(true)) return;
    button.setAttribute("aria-expanded", "true");
    menu.open(button);
  }
  return { ...menu, node: h("div", { class: "wb-menu-place" }, button, menu.node), toggle };
}

function presetRow(ctx) {
  const presets = ctx.schema.presets.map((label, index) => h("button", {
    class: "wb-pill", "aria-pressed": "false", title: `Key ${index + 1}`, text: label,
    onclick: () => ctx.send("preset", { index }),
  }));
  const chips = h("div", { class: "wb-chips", role: "group", "aria-label": "Pinned settings" });
  const node = h("div", { class: "wb-presets" },
    h("div", { class: "wb-try", role: "group", "aria-label": "Presets" }, h("span", { class: "wb-hint", text: "Try" }), presets),
    chips);
  return {
    node,
    update() {
      presets.forEach((button, index) =>
        setAttribute(button, "aria-pressed", String(ctx.get("preset") === index)));
      const pins = ctx.get("pins") || [];
      chips.hidden = pins.length === 0;
      chips.replaceChildren(h("span", { class: "wb-hint", text: "Pinned" }), ...pins.map((item) => chip(ctx, item)));
    },
  };
}

function chip(ctx, item) {
  return h("span", { class: "wb-chip" },
    h("button", { class: "wb-chip-load", "aria-label": `Load ${item.letter}, ${item.label}`,
      onclick: () => ctx.send("pinned", { letter: item.letter }) },
    h("b", { text: item.letter }), mark(item.mark, 9), h("span", { text: item.label })),
    h("button", { class: "wb-chip-close", "aria-label": `Unpin ${item.letter}`, title: "Unpin",
      onclick: () => ctx.send("unpin", { letter: item.letter }) }, icon("close", 12)));
}
