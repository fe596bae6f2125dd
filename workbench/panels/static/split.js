// Split viewer: aligned pictures behind draggable lines, or the difference of the outer two, enlarged on request.

const ZOOMS = [1, 2, 4, 8];
const GRAB = 14; // px around a line that take hold of it while the pictures are enlarged

function splitSlot(ctx, slot, host) {
  const apart = h("img", { alt: "", draggable: "false" });
  const canvas = h("canvas", { class: "wb-difference" });
  const stage = h("div", { class: "wb-split", role: "group", tabindex: "0" });
  const caption = h("dl", { class: "wb-caption" });
  const toggle = h("button", { class: "wb-button wb-small", "aria-pressed": "false", onclick: () => {
    difference = !difference;
    show();
  } }, "Difference");
  const nearer = h("button", { class: "wb-button wb-small", "aria-label": "Enlarge", onclick: () => zoom(1) }, "+");
  const farther = h("button", { class: "wb-button wb-small", "aria-label": "Reduce", onclick: () => zoom(-1) }, "−");
  const times = h("span", { "aria-live": "polite" });
  const zoomed = h("div", { class: "wb-split-zoom" }, times, farther, nearer);
  for (const name of ["pointerdown", "dblclick"]) zoomed.addEventListener(name, (event) => event.stopPropagation());
  host.append(stage, h("div", { class: "wb-split-foot" }, caption, toggle));
  let sides = []; // left to right: { node, image, tag }
  let lines = []; // between them: { node, at }, at in per cent
  let difference = false;
  let content = null;
  let factor = 1;
  let centre = [0.5, 0.5]; // of what is seen, as a share of the picture

  const evenly = (which, count = sides.length) => Math.round((100 * (which + 1)) / count);

  function build(count) {
    sides = Array.from({ length: count }, () => {
      const image = h("img", { alt: "", draggable: "false" });
      image.addEventListener("load", () => { fit(); show(); });
      return { image, node: h("div", { class: "wb-split-side" }, image), tag: h("span", { class: "wb-tag" }) };
    });
    lines = Array.from({ length: count - 1 }, (_, which) => {
      const node = h("div", { class: "wb-split-line", tabindex: "0", role: "slider", "aria-valuemin": 0,
        "aria-valuemax": 100, "aria-orientation": "horizontal" }, h("span", { class: "wb-split-grip" }, icon("grip", 16)));
      node.addEventListener("keydown", (event) => moveBy(event, which));
      return { node, at: evenly(which, count) };
    });
    stage.replaceChildren(...sides.map((side) => side.node), h("div", { class: "wb-split-side" }, apart, canvas),
      ...lines.map((line) => line.node), ...sides.map((side) => side.tag), zoomed);
  }

  function place(which, share) {
    const [least, most] = [which ? lines[which - 1].at : 0, which + 1 < lines.length ? lines[which + 1].at : 100];
    lines[which].at = clamp(Math.round(share), least, most);
    lay();
  }

  // Every side is cut to what lies between its lines; its tag stands there while there is room.
  function lay() {
    const width = stage.clientWidth;
    sides.forEach((side, index) => {
      const from = index ? lines[index - 1].at : 0;
      const to = index < lines.length ? lines[index].at : 100;
      side.node.style.clipPath = `inset(0 ${100 - to}% 0 ${from}%)`;
      const room = ((to - from) * width) / 100;
      const last = index === sides.length - 1;
      side.tag.style.left = last ? "auto" : `calc(${from}% + 8px)`;
      side.tag.style.right = last ? "8px" : "auto";
      side.tag.hidden = difference ? index > 0 : room < side.tag.scrollWidth + 12 && sides.length > 2;
    });
    lines.forEach((line, index) => {
      line.node.style.left = `${line.at}%`;
      setAttribute(line.node, "aria-valuenow", line.at);
      if (content) setAttribute(line.node, "aria-valuetext", `${content.tags[index]} up to ${line.at} per cent`);
    });
  }

  function enlarge() {
    const half = 0.5 / factor;
    centre = centre.map((value) => clamp(value, half, 1 - half));
    const [x, y] = centre.map((value) => -100 * (value - half));
    for (const node of [...sides.map((side) => side.image), apart, canvas]) {
      node.style.transform = factor > 1 ? `scale(${factor}) translate(${x}%, ${y}%)` : "";
    }
    stage.classList.toggle("wb-enlarged", factor > 1);
    setText(times, factor > 1 ? `${factor} ×` : "");
    nearer.disabled = factor === ZOOMS.at(-1);
    farther.disabled = factor === 1;
    const words = content ? content.tags.join(", ") : "";
    setAttribute(stage, "aria-label", `${words}, enlarged ${factor} times. Plus and minus enlarge, arrows move.`);
  }

  function zoom(by, at) {
    const before = factor;
    factor = ZOOMS[clamp(ZOOMS.indexOf(factor) + by, 0, ZOOMS.length - 1)];
    if (at) centre = centre.map((value, axis) => value + (at[axis] - 0.5) * (1 / before - 1 / factor));
    enlarge();
  }

  function show() {
    if (!content) return;
    setAttribute(toggle, "aria-pressed", String(difference));
    stage.classList.toggle("wb-apart", difference);
    apart.hidden = !(difference && content.difference);
    canvas.hidden = !(difference && !content.difference);
    for (const part of [...lines, ...sides]) part.node.hidden = difference;
    sides.forEach((side, index) => setText(side.tag, difference ? `Difference × ${content.scale}` : content.tags[index]));
    lay();
    enlarge();
    if (difference && !content.difference) subtract();
  }

  // |first − last| × scale per channel; equal pictures are black.
  function subtract() {
    const [left, right] = [sides[0].image, sides.at(-1).image];
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
    const first = sides[0] && sides[0].image;
    if (!first || !first.naturalWidth || !room) return;
    const limit = Math.min(room, 448);
    const whole = Math.floor(limit / first.naturalWidth);
    stage.style.width = whole >= 1 && first.naturalWidth < 128 ? `${whole * first.naturalWidth}px` : `${limit}px`;
    stage.style.aspectRatio = `${first.naturalWidth} / ${first.naturalHeight}`;
    lay();
  }

  // A line near the pointer is dragged; enlarged pictures move elsewhere, others bring the nearest line.
  let held = null;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box.width];
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const [x, y, width] = at(event);
    const distances = lines.map((line) => Math.abs(x - line.at / 100) * width);
    const nearest = distances.indexOf(Math.min(...distances));
    const onLine = !difference && (factor === 1 || distances[nearest] < GRAB);
    if (!onLine && factor === 1) return;
    held = onLine ? { line: nearest } : { from: [x, y], centre };
    stage.setPointerCapture(event.pointerId);
    if (onLine) place(nearest, 100 * x);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held || !stage.hasPointerCapture(event.pointerId)) return;
    const [x, y] = at(event);
    if (held.line !== undefined) return place(held.line, 100 * x);
    centre = [held.centre[0] - (x - held.from[0]) / factor, held.centre[1] - (y - held.from[1]) / factor];
    enlarge();
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { held = null; });
  stage.addEventListener("dblclick", (event) => zoom(factor === ZOOMS.at(-1) ? -ZOOMS.length : 1, at(event)));

  function moveBy(event, which) {
    const step = event.shiftKey ? 10 : 1;
    const now = lines[which].at;
    const next = { ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step,
      Home: 0, End: 100, Backspace: evenly(which) }[event.key];
    if (next === undefined) return;
    place(which, next);
    event.preventDefault();
    event.stopPropagation();
  }
  stage.addEventListener("keydown", (event) => {
    const step = 0.1 / factor;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const by = { "+": 1, "=": 1, "-": -1, "−": -1 }[event.key];
    if (event.key === "d" || event.key === "D") toggle.click();
    else if (by) zoom(by);
    else if (move && event.target === stage) {
      centre = centre.map((value, axis) => value + move[axis]);
      enlarge();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const observer = new ResizeObserver(fit);
  observer.observe(host);
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
      const moved = !content || !sameJson([content.pictures, content.difference], [next.pictures, next.difference]);
      content = next;
      ctx.viewer = viewer;
      if (sides.length !== next.pictures.length) build(next.pictures.length);
      lines.forEach((line, index) =>
        setAttribute(line.node, "aria-label", `Divider between ${next.tags[index]} and ${next.tags[index + 1]}`));
      if (moved) {
        sides.forEach((side, index) => {
          side.image.alt = next.tags[index];
          ctx.images.show(side.image, next.pictures[index]);
        });
        ctx.images.show(apart, next.difference);
      }
      caption.replaceChildren(...next.caption.map(([name, value]) =>
        h("div", {}, h("dt", { text: name }), h("dd", { text: value }))));
      show();
    },
    destroy() {
      observer.disconnect();
      ctx.viewer = null;
    },
  };
}
