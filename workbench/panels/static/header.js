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
  const entry = (label, note, run, key) => h("button", {
    role: "menuitem", tabindex: "-1", "aria-keyshortcuts": key || null,
    onclick: () => { close(true); run(); },
  }, h("span", { text: label }), h("span", { class: "wb-menu-note", text: note }));
  const section = (behind) => ctx.schema.exports.filter((item) => item.behind === behind)
    .map((item) => entry(item.label, item.note, () => {
      ctx.note(`Writing ${item.label.toLowerCase()}`);
      ctx.send("export", { kind: item.kind });
    }));
  const [shown, behind] = [section(false), section(true)];
  const list = h("div", { class: "wb-menu", role: "menu", "aria-label": "Export", hidden: true },
    shown.length ? [h("div", { class: "wb-menu-head", text: "This panel, as shown" }), ...shown, h("hr")] : [],
    behind.length ? [h("div", { class: "wb-menu-head", text: "Behind it" }), ...behind, h("hr")] : [],
    entry("Copy settings as text", "S", () => ctx.send("settings"), "s"));
  list.id = freshId("menu");
  const button = h("button", { class: "wb-button", "aria-haspopup": "menu", "aria-expanded": "false",
    "aria-controls": list.id, title: "Export (E)", onclick: () => toggle() },
  icon("save"), "Export", icon("down", 14));
  const node = h("div", { class: "wb-menu-place" }, button, list);
  const items = () => [...list.querySelectorAll("[role=menuitem]")];

  function toggle() {
    if (list.hidden) open();
    else close(true);
  }
  function open() {
    list.hidden = false;
    button.setAttribute("aria-expanded", "true");
    items()[0].focus();
  }
  function close(back) {
    if (list.hidden) return false;
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (back) button.focus();
    return true;
  }
  list.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(node.getRootNode().activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) all[(next + all.length) % all.length].focus();
    else if (event.key === "Escape") close(true);
    else if (event.key === "Tab") return void close(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  node.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !node.contains(event.relatedTarget)) close(false);
  });
  const outside = (event) => { if (!event.composedPath().includes(node)) close(false); };
  document.addEventListener("pointerdown", outside);
  return { node, toggle, close, destroy: () => document.removeEventListener("pointerdown", outside) };
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
