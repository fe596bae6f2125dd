// Bars cut into parts: what holds the memory, where the seconds go. Free room is drawn empty.

function sharesSlot(ctx, slot, host) {
  const node = h("div", { class: "wb-shares" });
  host.append(node);
  function whole(bar) {
    const total = bar.parts.reduce((sum, part) => sum + part.value, 0) || 1;
    let shade = 0;
    const pieces = bar.parts.map((part) => {
      const piece = h("span", { class: part.free ? "wb-piece wb-piece-free" : "wb-piece", "data-basis": part.basis });
      piece.style.flexGrow = part.value / total;
      if (!part.free) piece.dataset.shade = shade++;
      return piece;
    });
    const legend = bar.parts.map((part, index) => {
      const key = h("span", { class: part.free ? "wb-piece-key wb-piece-free" : "wb-piece-key", "data-basis": part.basis });
      if (!part.free) key.dataset.shade = pieces[index].dataset.shade;
      return h("li", {}, key, h("span", { class: "wb-quiet", text: part.label }),
        h(part.basis === "predicted" ? "span" : "b", { text: `${part.basis === "predicted" ? "≈ " : ""}${part.text}` }));
    });
    return h("div", { class: "wb-shares-bar", role: "group", "aria-label": bar.label },
      bar.label ? h("div", { class: "wb-shares-head" }, h("span", { text: bar.label }),
        bar.note ? h("span", { class: "wb-quiet", text: bar.note }) : null) : null,
      h("div", { class: "wb-pieces", "aria-hidden": "true" }, pieces), h("ul", { class: "wb-piece-keys" }, legend));
  }
  return {
    update: (content) => node.replaceChildren(...content.bars.map(whole)),
    destroy() {},
  };
}
