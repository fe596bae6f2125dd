// Gallery: one picture large, the others small beside it; arrows choose, one can be saved.

function gallerySlot(ctx, slot, host) {
  const large = h("img", { class: "wb-large", alt: "", draggable: "false" });
  const words = h("span", { class: "wb-note" });
  const save = h("button", { class: "wb-button wb-small", onclick: () => {
    const one = content.pictures[at];
    ctx.note(`Writing ${one.alt}`);
    ctx.send("export", { kind: `picture ${one.key}` });
  } }, icon("save", 14), "Save picture");
  const strip = h("div", { class: "wb-gallery-strip", role: "listbox", "aria-label": "Pictures" });
  const stage = h("div", { class: "wb-gallery-stage" }, large,
    h("div", { class: "wb-gallery-foot" }, words, h("span", { class: "wb-space" }), save));
  host.append(h("div", { class: "wb-gallery" }, stage, strip));
  let content = null;
  let at = 0;
  let thumbs = [];

  function choose(index, focus) {
    at = clamp(index, 0, content.pictures.length - 1);
    const one = content.pictures[at];
    if (!one) return;
    large.alt = one.alt;
    ctx.images.show(large, one.png);
    setText(words, content.note ? `${one.alt} · ${content.note}` : one.alt);
    thumbs.forEach((button, place) => {
      setAttribute(button, "aria-selected", String(place === at));
      button.tabIndex = place === at ? 0 : -1;
    });
    if (focus) thumbs[at].focus();
  }
  strip.addEventListener("keydown", (event) => {
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0,
      End: content.pictures.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    choose(next, true);
  });
  // A small picture grows by a whole factor; a large one shrinks to the room there is.
  function fit() {
    const wide = large.naturalWidth;
    const room = Math.min(stage.clientWidth, 512);
    if (!wide || !room) return;
    large.classList.toggle("wb-pixels", wide < 128);
    large.style.width = `${wide < 128 ? Math.max(1, Math.floor(Math.min(room, 384) / wide)) * wide : Math.min(room, wide)}px`;
  }
  large.addEventListener("load", fit);
  const observer = new ResizeObserver(fit);
  observer.observe(host);
  return {
    update(next) {
      const { stale, ...rest } = next;
      if (content && sameJson(content, rest)) return;
      content = rest;
      const same = thumbs.length === content.pictures.length;
      if (!same) {
        thumbs = content.pictures.map((_, place) => h("button", { class: "wb-thumb", role: "option", tabindex: "-1",
          onclick: () => choose(place, true) }, h("img", { alt: "", draggable: "false" })));
        strip.replaceChildren(...thumbs);
      }
      thumbs.forEach((button, place) => {
        const image = button.firstChild;
        image.alt = content.pictures[place].alt;
        button.title = image.alt;
        ctx.images.show(image, content.pictures[place].png);
      });
      strip.hidden = content.pictures.length < 2;
      save.hidden = !content.saves;
      choose(at, false);
    },
    destroy: () => observer.disconnect(),
  };
}
