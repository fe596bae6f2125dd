// The panel: parts put together, traits and messages wired, everything let go at the end.

const WB_KINDS = {
  chart: chartSlot, split: splitSlot, images: imagesSlot, figures: figuresSlot,
  table: tableSlot, empty: emptySlot, pairs: pairsSlot, paint: paintSlot, diagram: diagramSlot, shares: sharesSlot, gallery: gallerySlot, written: writtenSlot,
};

const LOST = ["dead", "terminating", "restarting", "autorestarting"];

// A kernel that restarts comes back without the panel's Python half: for this view it is gone.
function kernelWatch(model, changed) {
  let live = true;
  let lost = false;
  let heard = null;
  const manager = model.widget_manager;
  function heed(_, status) {
    if (!LOST.includes(status)) return;
    lost = true;
    look();
  }
  function look() {
    let now = !lost;
    if (manager && "kernel" in manager) {
      const kernel = manager.kernel;
      if (kernel && kernel !== heard && kernel.statusChanged) {
        if (heard) heard.statusChanged.disconnect(heed);
        kernel.statusChanged.connect(heed);
        heard = kernel;
      }
      now = now && Boolean(kernel) && !LOST.includes(kernel.status);
    }
    if (now !== live) {
      live = now;
      changed();
    }
  }
  window.setTimeout(look, 0);
  const timer = window.setInterval(look, 2000);
  return {
    alive: () => live,
    destroy: () => {
      window.clearInterval(timer);
      if (heard) heard.statusChanged.disconnect(heed);
    },
  };
}

function render({ model, el }) {
  const root = h("div", { class: "wb wb-panel" });
  const watched = [];
  const waiting = [];
  // What is said after a move must not come before it.
  function deliver() {
    if (model.get("followed") !== model.get("moves")) return;
    for (const message of waiting.splice(0)) model.send(message);
  }
  const ctx = {
    model,
    root,
    schema: model.get("schema"),
    get: (name) => model.get(name),
    send(type, more = {}) {
      waiting.push({ type, ...more });
      deliver();
    },
    load: (key, kind) => key && ctx.send("load", { key: String(key), kind }),
    pin() {
      if ((model.get("pins") || []).length >= 4) ctx.note("Four pins are the most. Unpin one first");
      else ctx.send("pin");
    },
    set(changes) {
      const state = JSON.parse(JSON.stringify(model.get("state")));
      for (const [group, name, value] of changes) state[group][name] = value;
      model.set("state", state);
      model.set("moves", model.get("moves") + 1);
      model.save_changes();
    },
    watch(name, callback) {
      model.on(`change:${name}`, callback);
      watched.push([`change:${name}`, callback]);
      return () => model.off(`change:${name}`, callback);
    },
    note: (text, kind) => status.note(text, kind),
    async copy(text, said) {
      try {
        await navigator.clipboard.writeText(text);
        ctx.note(said);
      } catch (error) {
        ctx.sheet.show(text);
      }
    },
  };
  ctx.images = imageStore(ctx.send);
  const kernel = kernelWatch(model, () => status.update());
  ctx.alive = kernel.alive;
  ctx.help = helpStrip(ctx);
  ctx.sheet = textSheet(ctx);
  const header = panelHeader(ctx);
  const presets = presetRow(ctx);
  const form = knobForm(ctx);
  const claims = claimCards(ctx);
  const grid = pictureGrid(ctx);
  const status = statusLine(ctx);
  const side = h("aside", { class: "wb-side", "aria-label": "Settings" }, form.node, ctx.help.node,
    h("div", { class: "wb-gap" }), claims.node);
  root.append(header.node, presets.node, ctx.sheet.node, h("div", { class: "wb-body" }, side, grid.node), status.node);
  panelKeys(ctx, header, status);

  const known = {};
  function receive(message, buffers) {
    if (message.type === "images") ctx.images.receive(message.names, buffers);
    else if (message.type === "picture") {
      const changed = wholeSlots(message.slots, known);
      Object.assign(known, changed);
      if (changed.claim) claims.update(changed.claim.cards);
      grid.update(changed);
      ctx.images.sweep(() => JSON.stringify(known));
    } else if (message.type === "code") ctx.copy(message.text, "Code copied");
    else if (message.type === "settings") ctx.copy(message.text, "Settings copied");
    else if (message.type === "acted") message.text ? ctx.copy(message.text, message.said) : ctx.note(message.said);
    else if (message.type === "note") ctx.note(message.text, message.level);
    else if (message.type === "file") download(message.name, buffers[0]);
  }
  function download(name, data) {
    const address = URL.createObjectURL(new Blob([data]));
    h("a", { href: address, download: name }).click();
    window.setTimeout(() => URL.revokeObjectURL(address), 30000);
    ctx.note(`Saved ${name}`);
  }

  model.on("msg:custom", receive);
  for (const [name, update] of [
    ["state", form.update], ["hints", form.update], ["problems", form.problems], ["status", status.update],
    ["history", header.update], ["pins", presets.update], ["preset", presets.update], ["followed", deliver]]) {
    ctx.watch(name, update);
    update();
  }
  el.append(root);
  const opening = model.get("opening");
  const opened = Boolean(opening && opening.slots);
  if (opened) {
    receive({ type: "images", names: Object.keys(opening.images) }, Object.values(opening.images));
    receive({ type: "picture", slots: opening.slots });
  }
  ctx.send("hello", { images: ctx.images.names(), opened });

  return () => {
    model.off("msg:custom", receive);
    watched.forEach(([event, callback]) => model.off(event, callback));
    for (const part of [grid, status, header.menu, kernel, ctx.images]) part.destroy();
  };
}

export default { render };
