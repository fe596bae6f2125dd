// Rows of the knob column: sliders with a number box, and plain number boxes.
// A row is { node, update(value), problem(list), focusable }.

function rowFrame(ctx, group, field, className, ...children) {
  const message = h("div", { class: "wb-problem", hidden: true });
  message.id = freshId("problem");
  const node = h("div", { class: `wb-row ${className}` }, ...children, message);
  for (const event of ["focusin", "pointerenter"]) {
    node.addEventListener(event, () => ctx.help.show(group, field));
  }
  node.addEventListener("pointerleave", () => ctx.help.leave(group, field));
  node.addEventListener("focusout", () => ctx.help.leave(group, field));
  return { node, message };
}

function showProblems(row, list) {
  const worst = list.find((problem) => problem.level === "error") || list[0];
  row.node.dataset.level = worst ? worst.level : "";
  row.message.hidden = !worst;
  if (worst) {
    row.message.replaceChildren(h("span", { class: "wb-glyph", text: worst.level === "error" ? "✕" : "!" }),
      h("span", { text: worst.message }));
  }
  for (const input of row.inputs) {
    setAttribute(input, "aria-invalid", worst && worst.level === "error" ? "true" : null);
    setAttribute(input, "aria-errormessage", worst ? row.message.id : null);
  }
}

function resetButton(ctx, group, field) {
  const named = field.choices.find(([value]) => sameJson(value, field.default));
  const first = named ? named[1] : boxText(field.default, field) || "empty";
  return h("button", {
    class: "wb-reset", "aria-label": `Reset ${field.label} to ${first}`,
    title: "Reset", tabindex: "-1",
    onclick: () => ctx.set([[group.id, field.name, field.default]]),
  }, icon("reset", 14));
}

function numberRow(ctx, group, field) {
  const line = track(field);
  const id = freshId("knob");
  const reset = resetButton(ctx, group, field);
  const box = h("input", {
    class: "wb-box", type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false",
    placeholder: field.default === null ? "own" : null,
    id: line ? null : id, "aria-label": line ? `${field.label}, value` : null,
    "aria-describedby": ctx.help.id,
  });
  const head = h("div", { class: "wb-row-head" },
    h("label", { for: id, text: field.label, title: "" }), reset, h("span", { class: "wb-space" }), box,
    h("span", { class: "wb-unit", text: field.unit, title: field.unit }));
  head.firstChild.removeAttribute("title");
  const range = line ? rangeInput(ctx, group, field, line, id) : null;
  const row = rowFrame(ctx, group, field, line ? "wb-slider" : "wb-number", head, range && range.node);
  row.inputs = range ? [range.input, box] : [box];
  let value = null;

  function send(next) {
    if (next !== value) ctx.set([[group.id, field.name, next]]);
  }
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") send(boxValue(box.value, field));
    else if (event.key === "Escape" && box.value !== boxText(value, field)) box.value = boxText(value, field);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      if (!line || typeof value !== "number") return;
      event.preventDefault();
      send(line.move(value, (event.key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1)));
    } else return;
    event.stopPropagation();
  });
  box.addEventListener("change", () => send(boxValue(box.value, field)));
  box.addEventListener("focus", () => box.select());
  return {
    ...row,
    update(next) {
      const changed = next !== value;
      value = next;
      const text = boxText(next, field);
      if (changed || document.activeElement !== box) box.value = text;
      box.classList.toggle("wb-long", text.length > 7);
      reset.hidden = sameJson(next, field.default);
      if (range) range.update(next);
    },
    problem: (list) => showProblems(row, list),
  };
}

function rangeInput(ctx, group, field, line, id) {
  const fine = 1000;
  const input = h("input", {
    type: "range", class: "wb-range", id, min: 0, max: fine, step: "any",
    "aria-describedby": ctx.help.id,
  });
  const node = h("div", { class: "wb-track" }, input);
  if (typeof field.paper === "number") {
    const tick = h("span", { class: "wb-paper-tick", "aria-hidden": "true" });
    tick.style.setProperty("--at", line.share(field.paper));
    node.append(tick);
  }
  let value = field.default;
  function send(next) {
    if (next !== value) ctx.set([[group.id, field.name, next]]);
  }
  input.addEventListener("input", () => send(line.value(input.value / fine)));
  input.addEventListener("change", () => place());
  input.addEventListener("keydown", (event) => {
    const many = event.shiftKey ? 10 : event.key.startsWith("Page") ? 10 : 1;
    const current = typeof value === "number" ? value : field.default;
    const moves = {
      ArrowRight: () => line.move(current, many), ArrowUp: () => line.move(current, many),
      PageUp: () => line.move(current, many),
      ArrowLeft: () => line.move(current, -many), ArrowDown: () => line.move(current, -many),
      PageDown: () => line.move(current, -many),
      Home: () => field.ge, End: () => field.le, Backspace: () => field.default,
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    send(moves[event.key]());
  });
  function place() {
    if (typeof value !== "number") return;
    const share = line.share(value);
    input.value = share * fine;
    input.style.setProperty("--at", share);
    // Assistive technology hears the value itself, not the share of the track.
    setAttribute(input, "aria-valuemin", field.ge);
    setAttribute(input, "aria-valuemax", field.le);
    setAttribute(input, "aria-valuenow", value);
    setAttribute(input, "aria-valuetext", spoken(boxText(value, field), field));
  }
  return {
    node,
    input,
    update(next) {
      value = next;
      place();
    },
  };
}
