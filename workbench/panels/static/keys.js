// Keys of the panel, only while focus is inside it and not in a text field.

function panelKeys(ctx, header, status) {
  ctx.root.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    if (event.key === "Escape") {
      if (header.menu.close(true) || ctx.sheet.close()) return;
      const state = (ctx.get("status") || {}).action;
      if (state && state.id === "stop") ctx.send("stop");
      return;
    }
    const typing = target.matches("input[type=text], textarea, select, [role=menuitem]");
    if (typing) return;
    const run = {
      p: () => ctx.pin(), u: () => ctx.send("undo"), U: () => ctx.send("redo"),
      c: () => ctx.send("code"), e: () => header.menu.toggle(), s: () => ctx.send("settings"),
      1: () => ctx.send("preset", { index: 0 }), 2: () => ctx.send("preset", { index: 1 }),
      3: () => ctx.send("preset", { index: 2 }),
    }[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  });
}

// Text for the clipboard; where the page may not write it, a sheet shows it selected.
function textSheet(ctx) {
  const area = h("textarea", { class: "wb-sheet-text", readonly: true, rows: 8, spellcheck: "false", "aria-label": "Text to copy" });
  const node = h("div", { class: "wb-sheet", hidden: true }, area,
    h("button", { class: "wb-button", onclick: () => close() }, "Close"));
  let back = null;
  function close() {
    if (node.hidden) return false;
    node.hidden = true;
    if (back) back.focus();
    return true;
  }
  return {
    node,
    close,
    show(text) {
      back = node.getRootNode().activeElement;
      area.value = text;
      node.hidden = false;
      area.focus();
      area.select();
    },
  };
}
