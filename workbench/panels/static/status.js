// Status line: one state in words, its details, one action; errors unfold their traceback below.

function statusLine(ctx) {
  const dot = h("span", { class: "wb-dot", "aria-hidden": "true" });
  const words = h("span", { class: "wb-state", role: "status" });
  const alert = h("span", { class: "wb-state", role: "alert" });
  const bar = h("span", { class: "wb-bar", role: "progressbar", "aria-label": "Progress", hidden: true }, h("span"));
  const details = h("span", { class: "wb-details" });
  const device = h("span", { class: "wb-device opt" });
  const more = h("button", { class: "wb-button wb-ghost wb-small", "aria-expanded": "false", hidden: true,
    onclick: () => {
      const open = more.getAttribute("aria-expanded") !== "true";
      more.setAttribute("aria-expanded", String(open));
      trace.hidden = !open;
    } }, "Details");
  const action = h("button", { class: "wb-button", onclick: act });
  const trace = h("pre", { class: "wb-trace", tabindex: "0", "aria-label": "Traceback", hidden: true });
  const node = h("footer", { class: "wb-status" },
    h("div", { class: "wb-status-line" }, dot, words, alert, bar, details, more, h("span", { class: "wb-space" }), device, action),
    trace);
  let rest = 0;
  let noted = null;
  let shownTrace = "";
  let since = 0;
  let lastKind = "";
  const clock = window.setInterval(tick, 500);

  function act() {
    if (action.dataset.id && action.getAttribute("aria-disabled") !== "true") ctx.send(action.dataset.id);
  }

  // Where Stop was a moment ago, a press is meant to stop: it must not start the run again.
  function guard() {
    action.setAttribute("aria-disabled", "true");
    window.clearTimeout(rest);
    rest = window.setTimeout(() => action.removeAttribute("aria-disabled"), 600);
  }

  function tick() {
    const status = ctx.get("status") || {};
    if (status.kind !== "compiling" || noted || !ctx.alive()) return;
    const seconds = Math.round((Date.now() - since) / 1000);
    setText(words, seconds ? `${status.text}, ${seconds} s so far` : status.text);
  }

  function update() {
    const status = ctx.alive() ? ctx.get("status") || {} : {
      kind: "stale", text: "The kernel is not running. Run the notebook to move the sliders", details: [] };
    if (status.kind !== lastKind) since = Date.now();
    lastKind = status.kind;
    const shown = noted || status;
    node.dataset.state = shown.kind || "idle";
    const loud = shown.kind === "error" || shown.kind === "invalid";
    setText(words, loud ? "" : shown.text || "");
    setText(alert, loud ? shown.text || "" : "");
    words.hidden = loud;
    alert.hidden = !loud;
    dot.textContent = loud ? "✕" : "";
    bar.hidden = shown.share === undefined || shown.share === null;
    if (!bar.hidden) {
      bar.style.setProperty("--share", shown.share);
      setAttribute(bar, "aria-valuenow", Math.round(100 * shown.share));
    }
    const parts = shown.details || [];
    if (!sameJson(parts, [...details.children].map((part) => part.textContent))) {
      details.replaceChildren(...parts.map((text, index) => h("span", { class: index > 1 ? "opt" : "", text })));
    }
    setText(device, shown.device || status.device || "");
    const offered = status.action;
    action.classList.toggle("wb-absent", !offered);
    if (offered) {
      if (action.dataset.id === "stop" && offered.id !== "stop") guard();
      action.dataset.id = offered.id;
      setText(action, offered.label);
      // Starting is the one thing to do when nothing else will start it: ink, not colour.
      action.classList.toggle("wb-primary", ["stale", "stopped", "empty"].includes(status.kind));
    }
    more.hidden = !status.trace;
    if ((status.trace || "") !== shownTrace) {
      shownTrace = status.trace || "";
      trace.textContent = shownTrace;
      trace.hidden = true;
      more.setAttribute("aria-expanded", "false");
    }
  }
  return {
    node,
    update,
    note(text, kind = "idle") {
      const mine = { kind, text, details: [] };
      noted = mine;
      update();
      window.setTimeout(() => { if (noted === mine) { noted = null; update(); } }, kind === "error" ? 8000 : 2500);
    },
    destroy: () => window.clearInterval(clock),
  };
}
