// A menu of actions: opened from a button or a picture, walked with arrows, and closed by Escape,
// Tab, or a click elsewhere.

// parts: { label, note, key, run }, { head }, or { rule: true }.
function popupMenu(label, closed = () => {}) {
  const node = h("div", { class: "wb-menu", role: "menu", "aria-label": label, hidden: true });
  node.id = freshId("menu");
  let from = null;
  const items = () => [...node.querySelectorAll("[role=menuitem]")];

  function part({ label: text, note = "", key, run, head, rule }) {
    if (rule) return h("hr");
    if (head) return h("div", { class: "wb-menu-head", text: head });
    return h("button", {
      role: "menuitem", tabindex: "-1", "aria-keyshortcuts": key,
      onclick: () => { close(true); run(); },
    }, h("span", { text }), h("span", { class: "wb-menu-note", text: note }));
  }
  function open(opener) {
    from = opener;
    node.hidden = false;
    items()[0].focus();
  }
  function close(back) {
    if (node.hidden) return false;
    node.hidden = true;
    if (back && from) from.focus();
    closed();
    return true;
  }
  const inside = (target) => node.contains(target) || Boolean(from && from.contains(target));
  node.addEventListener("keydown", (event) => {
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
    if (event.relatedTarget && !inside(event.relatedTarget)) close(false);
  });
  const outside = (event) => { if (!inside(event.composedPath()[0])) close(false); };
  document.addEventListener("pointerdown", outside);
  return {
    node,
    open,
    close,
    fill: (parts) => node.replaceChildren(...parts.map(part)),
    destroy: () => document.removeEventListener("pointerdown", outside),
  };
}
