// Image grid: one row a method, one column a seed; one tab stop, arrows inside.

function imagesSlot(ctx, slot, host) {
  const grid = h("div", { class: "wb-grid", role: "grid" });
  host.append(grid);
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
    if (move) focusAt(at[0] + move[0], at[1] + move[1]);
    else if (event.key === "Home") focusAt(at[0], 0);
    else if (event.key === "End") focusAt(at[0], 999);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function thumb(item, row, column, chosen) {
    const image = h("img", { alt: item.alt, draggable: "false" });
    ctx.images.show(image, item.png);
    image.addEventListener("load", fit, { once: true });
    return h("button", {
      class: "wb-thumb", role: "gridcell", tabindex: "-1", title: item.alt,
      "aria-selected": String(chosen === item.key && item.key !== ""),
      onclick: () => { at = [row, column]; ctx.load(item.key, "images"); },
    }, image);
  }

  // Small pictures grow by whole factors, so that every pixel stays a square.
  function fit() {
    const image = [...grid.querySelectorAll("img")].find((one) => one.naturalWidth);
    const narrow = ctx.root.clientWidth;
    if (!image || !grid.clientWidth) return;
    const count = Math.min(before.columns.length, narrow > 1000 || narrow <= 640 ? 8 : 6);
    const names = narrow > 1000 ? 196 : narrow > 640 ? 144 : 0;
    const room = Math.floor((grid.clientWidth - names) / count - 4);
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
      const focused = grid.contains(grid.getRootNode().activeElement);
      before = rest;
      grid.style.setProperty("--count", content.columns.length);
      grid.setAttribute("aria-label", content.title);
      pictures = content.rows.map((row, y) => row.images.map((item, x) => thumb(item, y, x, content.chosen)));
      const head = h("div", { class: "wb-grid-row wb-grid-head", role: "row" },
        h("span", { role: "columnheader" }, h("span", { class: "wb-spoken", text: "method" })),
        content.columns.map((name) => h("span", { class: "wb-seed", role: "columnheader", text: name })));
      grid.replaceChildren(head, ...content.rows.map((row, y) => h("div", { class: "wb-grid-row", role: "row" },
        h("div", { class: "wb-grid-name", role: "rowheader" },
          row.method === null ? null : mark(row.method, 11),
          h("div", {}, h("div", { class: "wb-grid-label", text: row.label }), h("div", { class: "wb-subtitle", text: row.note }))),
        pictures[y])));
      at = [clamp(at[0], 0, Math.max(pictures.length - 1, 0)), at[1]];
      const home = (pictures[at[0]] || [])[at[1]] || (pictures[0] || [])[0];
      if (home) home.tabIndex = 0;
      if (focused) focusAt(at[0], at[1]);
    },
    destroy: () => observer.disconnect(),
  };
}

// Pictures come once, under the hash of their bytes; what is missing is asked for.
function imageStore(send) {
  const urls = new Map();
  const waiting = new Map(); // name -> elements
  return {
    names: () => [...urls.keys()],
    receive(names, buffers) {
      names.forEach((name, index) => {
        if (!urls.has(name)) urls.set(name, URL.createObjectURL(new Blob([buffers[index]], { type: "image/png" })));
        for (const element of waiting.get(name) || []) {
          if (element.dataset.picture === name) element.src = urls.get(name);
        }
        waiting.delete(name);
      });
    },
    show(element, reference) {
      const name = reference && reference.image;
      if (!name || element.dataset.picture === name) return;
      element.dataset.picture = name;
      if (urls.has(name)) element.src = urls.get(name);
      else {
        if (!waiting.has(name)) window.setTimeout(() => waiting.has(name) && send("need", { names: [name] }), 50);
        waiting.set(name, [...(waiting.get(name) || []), element]);
      }
    },
    // Frees pictures that no slot refers to, once there are many.
    sweep(text) {
      if (urls.size < 600) return;
      for (const [name, url] of urls) {
        if (!text.includes(name)) {
          URL.revokeObjectURL(url);
          urls.delete(name);
        }
      }
    },
    destroy: () => urls.forEach((url) => URL.revokeObjectURL(url)),
  };
}
