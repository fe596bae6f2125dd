// Step strip: 25 steps a row, filled = runs in full, hollow = reused. One tab stop, arrows inside.

function stepsRow(ctx, group, field) {
  const name = `${group.id}.${field.name}`;
  const note = h("div", { class: "wb-note" });
  const strip = h("div", {
    class: "wb-strip", role: "listbox", tabindex: "0", "aria-multiselectable": "true",
    "aria-label": field.label, "aria-describedby": ctx.help.id,
  });
  const row = rowFrame(ctx, group, field, "wb-steps", strip, note);
  row.inputs = [strip];
  let hint = { total: 0, filled: [], note: "", edit_sets: {}, locked: [] };
  let at = 0;

  function toggle(index) {
    if (hint.locked.includes(index)) return;
    const filled = new Set(hint.filled);
    if (filled.has(index)) filled.delete(index);
    else filled.add(index);
    const steps = [...filled].sort((a, b) => a - b);
    const others = Object.entries(hint.edit_sets).map(([key, value]) => [group.id, key, value]);
    ctx.set([[group.id, field.name, steps], ...others]);
  }

  function point(index) {
    at = clamp(index, 0, hint.total - 1);
    [...strip.children].forEach((cell, place) => setFlag(cell, "data-at", place === at));
    if (strip.children[at]) strip.setAttribute("aria-activedescendant", strip.children[at].id);
  }

  strip.addEventListener("pointerdown", (event) => {
    const index = [...strip.children].indexOf(event.target);
    if (index < 0) return;
    point(index);
    toggle(index);
  });
  strip.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + 25, ArrowUp: at - 25,
      Home: 0, End: hint.total - 1 };
    if (event.key in moves) point(moves[event.key]);
    else if (event.key === " " || event.key === "Enter") toggle(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    ...row,
    update(value, hints) {
      const own = Array.isArray(value) ? value : [];
      hint = (hints.strips || {})[name] ||
        { total: Math.max(field.le || 0, ...own.map((s) => s + 1), 1), filled: own, note: "",
          edit_sets: {}, locked: [] };
      while (strip.children.length > hint.total) strip.lastChild.remove();
      while (strip.children.length < hint.total) {
        strip.append(h("span", { role: "option", id: freshId("step") }));
      }
      const filled = new Set(hint.filled);
      [...strip.children].forEach((cell, index) => {
        const full = filled.has(index);
        setAttribute(cell, "aria-selected", String(full));
        setAttribute(cell, "aria-label", `Step ${index}, ${full ? "full" : "reused"}`);
      });
      strip.style.setProperty("--hue", group.mark === null ? "var(--wb-t1)" : `var(--wb-m${group.mark})`);
      setText(note, hint.note ||
        `${filled.size} of ${hint.total} steps run in full. Click a step to change it.`);
      point(at);
    },
    problem: (list) => showProblems(row, list),
  };
}
