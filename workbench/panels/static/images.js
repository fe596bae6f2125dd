// Image grid: one row a method, one column a seed; one tab stop, arrows inside, a menu per picture.

function imagesSlot(ctx, slot, host) {
  const grid = h("div", { class: "wb-grid", role: "grid" });
  const menu = popupMenu("Picture");
  menu.node.classList.add("wb-picture-menu");
  host.classList.add("wb-grid-place");
  host.append(grid, menu.node);
  let at = [0, 0];
  let pictures = []; // rows of buttons
  let before = null;

  function focusAt(row, column) {
    const y = clamp(row, 0, pictures.length - 1);
    const visible = (pictures[y] || []).filter((button) => button.offsetParent !== null);
    if (!visible.length) return;
    at = [y, clamp(column, 0, visible.length - 1)];
    pictures.flat().forEach((button) => { button.tabIndex = -1; });
    visible[at[1]].tabIndex = 0;
    visible[at[1]].focus();
  }

  grid.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const move = moves[event.key];
    const onPicture = event.target.classList.contains("wb-thumb");
    if (onPicture && (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey))) {
      event.target.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true }));
    } else if (move) focusAt(at[0] + move[0], at[1] + move[1]);
    else if (event.key === "Home") focusAt(at[0], 0);
    else if (event.key === "End") focusAt(at[0], 999);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function thumb(item, row, column) {
    const image = h("img", { alt: item.alt, draggable: "false" });
    ctx.images.show(image, item.png);
    image.addEventListener("load", fit, { once: true });
    return h("button", {
      class: "wb-thumb", tabindex: "-1", title: item.alt, "aria-keyshortcuts": "Shift+F10",
      onfocus: () => { at = [row, column]; },
      onclick: () => ctx.load(item.key, "images"),
    }, image);
  }

  function cell(button, item, chosen) {
    const more = h("button", { class: "wb-more", tabindex: "-1", "aria-haspopup": "menu", title: "Menu (Shift+F10)",
      "aria-label": `Menu of ${item.alt}`, onclick: () => openMenu(node, button, item) }, icon("more", 14));
    const node = h("div", { class: "wb-cell", role: "gridcell",
      "aria-selected": String(chosen === item.key && item.key !== ""),
      oncontextmenu: (event) => {
        event.preventDefault();
        event.stopPropagation();
        openMenu(node, button, item);
      } }, button, item.key ? more : null);
    return node;
  }

  function openMenu(place, button, item) {
    const view = ctx.viewer;
    const open = (difference) => {
      ctx.load(item.key, "images");
      view.show(difference);
    };
    const parts = [
      view && { label: "Open in the viewer", note: "Enter", run: () => open(false) },
      view && { label: `Difference × ${view.scale()}`, run: () => open(true) },
      item.loads && { label: "Load its settings", run: () => {
        ctx.load(item.key, "images");
        ctx.load(item.key, "settings");
      } },
    ].filter(Boolean);
    if (!item.key || !parts.length) return;
    menu.close(false);
    menu.fill(parts);
    menu.open(button);
    const [room, box] = [host.getBoundingClientRect(), place.getBoundingClientRect()];
    const left = clamp(box.left - room.left, 0, Math.max(0, room.width - menu.node.offsetWidth));
    menu.node.style.left = `${left}px`;
    menu.node.style.top = `${box.bottom - room.top + 2}px`;
  }

  // Small pictures grow by whole factors, so that every pixel stays a square.
  function fit() {
    const image = [...grid.querySelectorAll("img")].find((one) => one.naturalWidth);
    const narrow = ctx.root.clientWidth;
    if (!image || !grid.clientWidth) return;
    const count = Math.min(before.columns.length, narrow > 1000 || narrow <= 640 ? 8 : 6);
    const names = narrow > 1000 ? 196 : narrow > 640 ? 144 : 0;
    const room = Math.min(Math.floor((grid.clientWidth - names) / count - 4), slot.height || 128);
    const whole = Math.floor(room / image.naturalWidth) * image.naturalWidth;
    const size = image.naturalWidth < 64 && whole >= 0.75 * room ? whole : room;
    grid.style.setProperty("--thumb", `${clamp(size, 24, 128)}px`);
    grid.classList.toggle("wb-small-pictures", image.naturalWidth < 64);
  }

  const observer = new ResizeObserver(fit);
  observer.observe(grid);

  return {
    update(content) {
      const { stale, ...rest } = content;
      if (before && sameJson(before, rest)) return;
      const focused = host.contains(grid.getRootNode().activeElement);
      before = rest;
      grid.style.setProperty("--count", content.columns.length);
      grid.setAttribute("aria-label", content.title);
      menu.close(focused);
      pictures = content.rows.map((row, y) => row.images.map((item, x) => thumb(item, y, x)));
      const head = h("div", { class: "wb-grid-row wb-grid-head", role: "row" },
        h("span", { role: "columnheader" }, h("span", { class: "wb-spoken", text: "method" })),
        content.columns.map((name) => h("span", { class: "wb-seed", role: "columnheader", text: name })));
      grid.replaceChildren(head, ...content.rows.map((row, y) => h("div", { class: "wb-grid-row", role: "row" },
        h("div", { class: "wb-grid-name", role: "rowheader" },
          row.method === null ? null : mark(row.method, 11),
          h("div", {}, h("div", { class: "wb-grid-label", text: row.label }), h("div", { class: "wb-subtitle", text: row.note }))),
        row.images.map((item, x) => cell(pictures[y][x], item, content.chosen)))));
      at = [clamp(at[0], 0, Math.max(pictures.length - 1, 0)), at[1]];
      const home = (pictures[at[0]] || [])[at[1]] || (pictures[0] || [])[0];
      if (home) home.tabIndex = 0;
      if (focused) focusAt(at[0], at[1]);
    },
    destroy() {
      observer.disconnect();
      menu.destroy();
    },
  };
}
