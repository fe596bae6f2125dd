// Elements, in one line each. Every focusable one tells JupyterLab to keep its command keys:
// the attribute works only on the focused element itself, so it is set here, for all.

const WB_FOCUSABLE = new Set(["a", "button", "input", "select", "textarea", "summary"]);

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  if (WB_FOCUSABLE.has(tag) || "tabindex" in (attributes || {})) {
    element.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  if (tag === "button" && !element.hasAttribute("type")) element.setAttribute("type", "button");
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Writes only what changed: a screen reader hears a text once.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setFlag(element, name, on) {
  if (on) element.setAttribute(name, "");
  else element.removeAttribute(name);
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

function safeLink(url, text, className = "wb-link") {
  if (!/^https?:\/\//.test(url || "")) return h("span", { text });
  return h("a", { class: className, href: url, target: "_blank", rel: "noopener noreferrer", text });
}

function sameJson(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

// Each panel of a page is a module of its own: without a part of its own, a label would belong to
// the control of another panel.
const wbModule = Math.random().toString(36).slice(2, 8);
let wbCounter = 0;

function freshId(stem) {
  wbCounter += 1;
  return `wb-${stem}-${wbModule}-${wbCounter}`;
}
