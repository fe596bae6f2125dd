// Rows of text: one line, or a box of several that Ctrl+Enter applies; Escape restores.

function textRow(ctx, group, field) {
  const id = freshId("knob");
  const many = field.lines > 1;
  const box = h(many ? "textarea" : "input", {
    class: "wb-text", id, type: many ? null : "text", rows: many ? field.lines : null,
    autocomplete: "off", spellcheck: "false", "aria-describedby": ctx.help.id,
  });
  const reset = resetButton(ctx, group, field);
  const row = rowFrame(ctx, group, field, "wb-text-row",
    h("div", { class: "wb-row-head" }, h("label", { for: id, text: field.label }), reset), box);
  row.inputs = [box];
  let value = null;
  function send() {
    if (box.value !== value) ctx.set([[group.id, field.name, box.value]]);
  }
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (!many || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && box.value !== value) box.value = value;
    else if (event.key !== "Enter") return;
    event.stopPropagation();
  });
  box.addEventListener("change", send);
  return {
    ...row,
    update(next) {
      const changed = next !== value;
      value = next;
      if (changed || document.activeElement !== box) box.value = next;
      reset.hidden = sameJson(next, field.default);
    },
    problem: (list) => showProblems(row, list),
  };
}
