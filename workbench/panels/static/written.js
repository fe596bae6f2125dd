// Texts as models write them, side by side: the prompt pale, a cursor while more comes.

function writtenSlot(ctx, slot, host) {
  const node = h("div", { class: "wb-written" });
  host.append(node);
  let places = [];
  function place(label) {
    const head = h("div", { class: "wb-written-head" });
    const prompt = h("span", { class: "wb-written-prompt" });
    const text = h("span");
    const cursor = h("span", { class: "wb-cursor", "aria-hidden": "true" });
    // Not read aloud as it grows: a reader goes through it at leisure.
    const box = h("div", { class: "wb-written-text", tabindex: "0", role: "region", "aria-live": "off", "aria-label": label },
      prompt, text, cursor);
    const note = h("div", { class: "wb-note wb-written-note" });
    return { node: h("div", {}, head, box, note), head, prompt, text, cursor, box, note };
  }
  return {
    update(content) {
      if (places.length !== content.texts.length) {
        places = content.texts.map((one) => place(one.label));
        node.replaceChildren(...places.map((one) => one.node));
        node.style.setProperty("--count", places.length);
      }
      content.texts.forEach((one, index) => {
        const { head, prompt, text, cursor, box, note } = places[index];
        const atEnd = box.scrollTop + box.clientHeight > box.scrollHeight - 24;
        head.replaceChildren(mark(one.method ?? 0, 10), h("span", { text: one.label }));
        setAttribute(box, "aria-label", `Text of ${one.label}`);
        setText(prompt, one.prompt);
        setText(text, one.text);
        cursor.hidden = !one.writing;
        note.replaceChildren(one.basis === "predicted" ? ringGlyph() : "", h("span", { text: one.note }));
        if (atEnd) box.scrollTop = box.scrollHeight;
      });
    },
    destroy() {},
  };
}
