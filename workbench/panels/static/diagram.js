// A network as boxes in a U: levels from the outermost inwards, the middle below. A click, space or
// Enter drops a part and brings it back; arrows go from box to box, all of them one tab stop.

function diagramSlot(ctx, slot, host) {
  const plan = h("div", { class: "wb-diagram", role: "group", "aria-label": "Parts of the network" });
  const legend = h("div", { class: "wb-diagram-legend", "aria-hidden": "true" });
  const spoken = h("div", { class: "wb-note wb-paint-at", "aria-live": "polite" });
  const note = h("div", { class: "wb-note" });
  host.append(plan, legend, spoken, note);
  let shown = null;
  let at = "";

  const boxes = () => [...plan.querySelectorAll("button")];

  function box(one) {
    const gone = one.state === "gone";
    const cost = one.note ? `, ${one.note}` : "";
    return h("button", {
      class: one.shade === null ? "wb-part wb-part-name" : "wb-part", "data-id": one.id, "data-state": one.state,
      "data-shade": one.shade, "aria-pressed": one.state === "fixed" ? null : String(gone), "aria-disabled": one.state === "fixed" ? "true" : null,
      tabindex: "-1", title: one.why, "aria-label": `${one.label}${cost}, ${gone ? "dropped" : "kept"}. ${one.why}`,
      onclick: () => toggle(one), onfocus: () => reach(one.id),
    }, h("span", { class: "wb-part-label", text: one.label }), h("span", { class: "wb-part-note", text: one.note }));
  }

  function toggle(one) {
    setText(spoken, one.why);
    if (one.state === "fixed") return;
    ctx.send("paint", { slot: slot.id, brush: "toggle", begins: true, erase: one.state === "gone", cells: [[0, one.id]] });
  }

  function reach(id) {
    at = id;
    for (const button of boxes()) button.tabIndex = button.dataset.id === id ? 0 : -1;
    const found = find(shown, id);
    if (found) setText(spoken, found.why);
  }

  function find(diagram, id) {
    const all = diagram.levels.flatMap((level) => [...level.down, ...level.up, level.whole]);
    return [...all, ...diagram.middle].find((one) => one && one.id === id);
  }

  function level(one) {
    return h("div", { class: "wb-level", role: "group", "aria-label": one.label },
      h("div", { class: "wb-side-boxes" }, one.down.map(box)),
      h("div", { class: "wb-level-name" }, one.whole ? box(one.whole) : h("span", { class: "wb-quiet", text: one.label })),
      h("div", { class: "wb-side-boxes" }, [...one.up].reverse().map(box)));
  }

  function draw() {
    const next = ((ctx.get("hints") || {}).diagrams || {})[slot.id];
    if (!next || (shown && sameJson(shown, next))) return;
    shown = next;
    const focused = plan.contains(plan.getRootNode().activeElement);
    plan.replaceChildren(...next.levels.map(level),
      h("div", { class: "wb-level wb-middle", role: "group", "aria-label": "Middle" }, next.middle.map(box)));
    legend.replaceChildren(h("span", { text: next.legend[0] }),
      ...Array.from({ length: 8 }, (_, index) => h("i", { "data-shade": index })), h("span", { text: next.legend[1] }));
    setText(note, next.note);
    if (!find(next, at)) at = boxes().length ? boxes()[0].dataset.id : "";
    for (const button of boxes()) {
      button.tabIndex = button.dataset.id === at ? 0 : -1;
      if (focused && button.tabIndex === 0) button.focus();
    }
  }

  plan.addEventListener("keydown", (event) => {
    const way = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const here = event.target.getBoundingClientRect();
    // The nearest box on that side; one that lies beside this one goes before one that does not.
    const ranked = boxes().filter((button) => button !== event.target).map((button) => {
      const there = button.getBoundingClientRect();
      const [dx, dy] = [there.left + there.width / 2 - here.left - here.width / 2, there.top + there.height / 2 - here.top - here.height / 2];
      const beside = way[0] ? there.top < here.bottom && there.bottom > here.top : there.left < here.right && there.right > here.left;
      return { button, along: dx * way[0] + dy * way[1], far: Math.hypot(dx, dy) + (beside ? 0 : 1e4) };
    }).filter((one) => one.along > 2).sort((a, b) => a.far - b.far);
    if (ranked.length) ranked[0].button.focus();
  });
  const stop = ctx.watch("hints", draw);
  return { update: draw, destroy: stop };
}
