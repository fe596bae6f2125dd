// The knob column's form: groups with their marks, rows that come and go, and the help strip.

function helpStrip(ctx) {
  const node = h("div", { class: "wb-help" });
  node.id = freshId("help");
  let shown = null;
  const papers = ctx.schema.groups.some((group) => group.knobs.some((knob) => knob.paper !== null));
  function write(group, field) {
    shown = field;
    if (!field) {
      setText(node, papers ? "▴ marks the paper’s value. Hollow is predicted, filled is measured." : "");
      return;
    }
    const price = ((ctx.get("hints") || {}).prices || {})[`${group.id}.${field.name}`];
    const parts = [h("b", { text: `${field.label}. ` }), field.help];
    if (field.type === "choice") {
      const value = ((ctx.get("state") || {})[group.id] || {})[field.name];
      const chosen = field.choices.find(([choice]) => sameJson(choice, value));
      if (chosen && chosen[1].length > 14) parts.push(` Now: ${chosen[1]}.`);
    }
    if (field.source) {
      const known = field.paper !== null && field.paper !== undefined && typeof field.paper !== "object";
      const name = (field.choices.find(([choice]) => sameJson(choice, field.paper)) || [])[1];
      parts.push(` ${field.source}${known ? `, where it is ${name || boxText(field.paper, field)}` : ""}.`);
    }
    if (field.static) parts.push(price ? ` A change compiles for about ${price} s.` : " A change compiles anew.");
    node.replaceChildren(...parts);
  }
  write(null, null);
  return {
    node,
    id: node.id,
    show: write,
    // What has focus is explained again when the pointer leaves another row.
    leave(group, field) {
      window.setTimeout(() => {
        if (shown !== field) return;
        const focused = node.getRootNode().activeElement;
        const row = focused && ctx.root.contains(focused) ? focused.closest(".wb-row") : null;
        if (row && row.wbField) write(row.wbField[0], row.wbField[1]);
        else write(null, null);
      }, 0);
    },
  };
}

function knobForm(ctx) {
  const groups = ctx.schema.groups.map((group) => {
    const active = h("span", { class: "wb-active", text: "active", hidden: true });
    const rows = group.knobs.map((field) => {
      const row = makeRow(ctx, group, field);
      row.node.wbField = [group, field];
      return { field, ...row };
    });
    const node = h("section", { class: "wb-group", role: "group", "aria-label": group.label },
      h("div", { class: "wb-group-head" }, group.mark === null ? null : mark(group.mark, 11),
        h("h3", { text: group.label }), h("span", { class: "wb-space" }), active),
      group.note ? h("div", { class: "wb-note", text: group.note }) : null,
      h("div", { class: "wb-rows" }, rows.map((row) => row.node)));
    return { group, node, rows, active };
  });
  const general = h("div", { class: "wb-problem wb-general", hidden: true });
  const node = h("div", { class: "wb-knobs" }, groups.map((g) => g.node), general);

  function update() {
    const state = ctx.get("state") || {};
    const hints = ctx.get("hints") || {};
    for (const { group, rows, active } of groups) {
      const values = state[group.id] || {};
      active.hidden = !(hints.active || []).includes(group.id);
      for (const row of rows) {
        // A strip shows which steps will run in full, whatever chooses them.
        const strip = (hints.strips || {})[`${group.id}.${row.field.name}`];
        row.node.hidden = !strip && !Object.entries(row.field.visible_when || {}).every(
          ([name, wanted]) => wanted.some((value) => sameJson(value, values[name])));
        row.update(values[row.field.name], hints);
      }
    }
  }

  function problems() {
    const list = ctx.get("problems") || [];
    const placed = new Set();
    for (const { group, rows } of groups) {
      for (const row of rows) {
        const own = list.filter((problem) => problem.field === row.field.name &&
          (!problem.group || problem.group === group.id));
        if (!row.node.hidden) own.forEach((problem) => placed.add(problem));
        row.problem(own);
      }
    }
    const rest = list.filter((problem) => !placed.has(problem));
    general.hidden = rest.length === 0;
    general.dataset.level = rest.some((problem) => problem.level === "error") ? "error" : "warn";
    general.replaceChildren(...rest.map((problem) => h("div", {},
      h("span", { class: "wb-glyph", text: problem.level === "error" ? "✕" : "!" }),
      h("span", { text: problem.message }))));
  }
  return { node, update, problems };
}

function makeRow(ctx, group, field) {
  if (field.type === "choice") return choiceRow(ctx, group, field);
  if (field.type === "bool") return checkRow(ctx, group, field);
  if (field.type === "steps") return stepsRow(ctx, group, field);
  if (field.type === "text") return textRow(ctx, group, field);
  return numberRow(ctx, group, field);
}
