// Blind comparison: two pictures, one choice, no names before the last pair.

function pairsSlot(ctx, slot, host) {
  const images = [0, 1].map((side) => h("img", { alt: side ? "right picture" : "left picture", draggable: "false" }));
  const question = h("p", { class: "wb-words" });
  const choose = (side) => ctx.send("answer", { slot: slot.id, side });
  const choices = [["left", "Left", "←"], ["same", "No difference", "↓"], ["right", "Right", "→"]].map(
    ([side, label, key]) => h("button", { class: "wb-button", onclick: () => choose(side) }, label,
      h("span", { class: "wb-key", text: key })));
  const again = h("button", { class: "wb-button", hidden: true, onclick: () => choose("again") }, "Start over");
  const count = h("div", { class: "wb-note" });
  const result = h("p", { class: "wb-words wb-result", role: "status" });
  const frames = images.map((image, side) => h("div", { class: "wb-pair", onclick: () => choose(side ? "right" : "left") }, image));
  const stage = h("div", { class: "wb-pairs", tabindex: "0", role: "group", "aria-label": "Blind comparison; arrow keys choose" }, frames);
  host.append(question, stage, h("div", { class: "wb-pair-choices" }, choices, again), count, result);
  host.addEventListener("keydown", (event) => {
    const side = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same" }[event.key];
    if (!side || stage.hidden) return;
    event.preventDefault();
    event.stopPropagation();
    choose(side);
  });
  let content = null;
  function show() {
    if (!content) return;
    const { sides = [], verdict = "" } = (ctx.get("answers") || {})[slot.id] || {};
    const at = sides.length;
    const over = at >= content.pairs.length;
    stage.hidden = over;
    choices.forEach((button) => { button.hidden = over; });
    again.hidden = !over;
    setText(question, over ? "" : content.question);
    setText(count, over ? "" : `Pair ${at + 1} of ${content.pairs.length}`);
    setText(result, over ? verdict : "");
    if (!over) {
      ctx.images.show(images[0], content.pairs[at].first);
      ctx.images.show(images[1], content.pairs[at].second);
    }
  }
  const stop = ctx.watch("answers", show);
  return {
    update(next) {
      content = next;
      show();
    },
    destroy: stop,
  };
}
