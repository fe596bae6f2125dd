// Split viewer: two aligned pictures behind one line, or their difference with its scale printed.

function splitSlot(ctx, slot, host) {
  const [left, right, apart] = [0, 1, 2].map(() => h("img", { alt: "", draggable: "false" }));
  const canvas = h("canvas", { class: "wb-difference" });
  const tags = [h("span", { class: "wb-tag" }), h("span", { class: "wb-tag wb-tag-right" })];
  const line = h("div", { class: "wb-split-line" }, h("span", { class: "wb-split-grip" }, icon("grip", 16)));
  const stage = h("div", { class: "wb-split", tabindex: "0", role: "slider", "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-orientation": "horizontal" }, right, left, apart, canvas, line, tags);
  const caption = h("dl", { class: "wb-caption" });
  const toggle = h("button", { class: "wb-button wb-small", "aria-pressed": "false", onclick: () => {
    difference = !difference;
    show();
  } }, "Difference");
  host.append(stage, h("div", { class: "wb-split-foot" }, caption, toggle));
  let at = 50;
  let difference = false;
  let content = null;

  function place(share) {
    at = clamp(Math.round(share), 0, 100);
    stage.style.setProperty("--at", `${at}%`);
    setAttribute(stage, "aria-valuenow", at);
    if (content) setAttribute(stage, "aria-valuetext", `${content.tags[0]} on the left ${at} per cent`);
  }

  function show() {
    if (!content) return;
    setAttribute(toggle, "aria-pressed", String(difference));
    stage.classList.toggle("wb-apart", difference);
    apart.hidden = !(difference && content.difference);
    canvas.hidden = !(difference && !content.difference);
    line.hidden = left.hidden = difference;
    tags[1].hidden = difference;
    setText(tags[0], difference ? `Difference × ${content.scale}` : content.tags[0]);
    setText(tags[1], content.tags[1]);
    if (difference && !content.difference) subtract();
  }

  // |left − right| × scale per channel; equal pictures are black.
  function subtract() {
    const [w, height] = [left.naturalWidth, left.naturalHeight];
    if (!w || !right.naturalWidth) return;
    canvas.width = w;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const read = (image) => {
      context.drawImage(image, 0, 0, w, height);
      return context.getImageData(0, 0, w, height);
    };
    const [one, two] = [read(left), read(right)];
    for (let i = 0; i < one.data.length; i += 1) {
      one.data[i] = i % 4 === 3 ? 255 : Math.min(255, Math.abs(one.data[i] - two.data[i]) * content.scale);
    }
    context.putImageData(one, 0, 0);
  }

  function fit() {
    const room = host.clientWidth;
    if (!left.naturalWidth || !room) return;
    const limit = Math.min(room, 448);
    const factor = Math.floor(limit / left.naturalWidth);
    stage.style.width = factor >= 1 && left.naturalWidth < 128 ? `${factor * left.naturalWidth}px` : `${limit}px`;
    stage.style.aspectRatio = `${left.naturalWidth} / ${left.naturalHeight}`;
  }

  function drag(event) {
    const box = stage.getBoundingClientRect();
    place((100 * (event.clientX - box.left)) / box.width);
  }
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || difference) return;
    stage.setPointerCapture(event.pointerId);
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) drag(event);
  });
  stage.addEventListener("dblclick", () => place(50));
  stage.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const next = { ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step,
      Home: 0, End: 100 }[event.key];
    if (event.key === "d" || event.key === "D") toggle.click();
    else if (next === undefined) return;
    else place(next);
    event.preventDefault();
    event.stopPropagation();
  });
  for (const image of [left, right]) image.addEventListener("load", () => { fit(); show(); });
  const observer = new ResizeObserver(fit);
  observer.observe(host);
  place(50);
  // What a picture's menu asks for: this viewer, in sight, with or without the difference.
  const viewer = {
    scale: () => content.scale,
    show(apart) {
      difference = apart;
      show();
      stage.scrollIntoView({ block: "nearest" });
    },
  };
  return {
    update(next) {
      const moved = !content || !sameJson([content.left, content.right, content.difference], [next.left, next.right, next.difference]);
      content = next;
      ctx.viewer = viewer;
      stage.setAttribute("aria-label", `Divider between ${next.tags[0]} and ${next.tags[1]}`);
      if (moved) {
        left.alt = next.tags[0];
        right.alt = next.tags[1];
        ctx.images.show(left, next.left);
        ctx.images.show(right, next.right);
        ctx.images.show(apart, next.difference);
      }
      caption.replaceChildren(...next.caption.map(([name, value]) =>
        h("div", {}, h("dt", { text: name }), h("dd", { text: value }))));
      place(at);
      show();
    },
    destroy() {
      observer.disconnect();
      ctx.viewer = null;
    },
  };
}
