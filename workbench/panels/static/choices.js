// Choices: a select row, a segmented bar for few short options, a checkbox or method row.

function choiceRow(ctx, group, field) {
  const letters = field.choices.reduce((sum, [, name]) => sum + name.length, 0);
  const count = field.choices.length;
  if (count >= 3 && count <= 4 && letters <= 18) return segmentedRow(ctx, group, field, true);
  if (count === 2 && letters <= 12) return segmentedRow(ctx, group, field, false);
  return selectRow(ctx, group, field);
}

function selectRow(ctx, group, field) {
  const id = freshId("knob");
  const select = h("select", { class: "wb-select", id, "aria-describedby": ctx.help.id },
    field.choices.map(([, name], index) => h("option", { value: index, text: name })));
  const reset = resetButton(ctx, group, field);
  const row = rowFrame(ctx, group, field, "wb-choice",
    h("div", { class: "wb-row-head" }, h("label", { for: id, text: field.label }), reset,
      h("span", { class: "wb-space" }), h("span", { class: "wb-select-frame" }, select, icon("down", 14))));
  row.inputs = [select];
  select.addEventListener("change", () => {
    ctx.set([[group.id, field.name, field.choices[select.value][0]]]);
  });
  return {
    ...row,
    update(value, hints) {
      const index = field.choices.findIndex(([choice]) => sameJson(choice, value));
      const withheld = (hints.withheld || {})[`${group.id}.${field.name}`] || [];
      field.choices.forEach(([choice], place) => {
        const option = select.options[place];
        option.hidden = option.disabled = place !== index && withheld.some((one) => sameJson(one, choice));
      });
      select.value = String(index);
      reset.hidden = sameJson(value, field.default);
    },
    problem: (list) => showProblems(row, list),
  };
}

function segmentedRow(ctx, group, field, wide) {
  const buttons = field.choices.map(([value, name], index) =>
    h("button", {
      role: "radio", "aria-checked": "false", tabindex: "-1", text: name,
      "aria-describedby": ctx.help.id,
      onclick: () => ctx.set([[group.id, field.name, value]]),
      onkeydown: (event) => {
        const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (way) {
          event.preventDefault();
          event.stopPropagation();
          const next = (index + way + buttons.length) % buttons.length;
          ctx.set([[group.id, field.name, field.choices[next][0]]]);
          buttons[next].focus();
        } else if (event.key === "Backspace") ctx.set([[group.id, field.name, field.default]]);
      },
    }));
  const bar = h("div", { class: "wb-segments", role: "radiogroup", "aria-label": field.label }, buttons);
  const row = rowFrame(ctx, group, field, "wb-choice",
    wide ? bar : h("div", { class: "wb-row-head" }, h("span", { class: "wb-label", text: field.label }),
      h("span", { class: "wb-space" }), bar));
  row.inputs = [bar];
  return {
    ...row,
    update(value) {
      const chosen = field.choices.findIndex(([choice]) => sameJson(choice, value));
      buttons.forEach((button, index) => {
        setAttribute(button, "aria-checked", String(index === chosen));
        button.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
      });
    },
    problem: (list) => showProblems(row, list),
  };
}

function checkRow(ctx, group, field) {
  const id = freshId("knob");
  const box = h("input", { type: "checkbox", class: "wb-check", id, "aria-describedby": ctx.help.id });
  const count = h("span", { class: "wb-count" });
  const row = rowFrame(ctx, group, field, "wb-check-row",
    h("div", { class: "wb-row-head" }, box, field.mark === null ? null : mark(field.mark, 11),
      h("label", { for: id, text: field.label }), h("span", { class: "wb-space" }), count));
  row.inputs = [box];
  box.addEventListener("change", () => ctx.set([[group.id, field.name, box.checked]]));
  return {
    ...row,
    update(value, hints) {
      box.checked = value === true;
      setText(count, (hints.counts || {})[`${group.id}.${field.name}`] || "");
    },
    problem: (list) => showProblems(row, list),
  };
}
