// Draws a tree of plain values into the document, touching only what differs: focus, selection
// and scroll position survive. Text becomes text nodes, never markup.

import { clip, isolated, visible } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** Characters of one text node. */
const TEXT_MAX = 20000;

/** Attributes that may be drawn. Those that run script or load something are not among them. */
const ATTRIBUTES = new Set([
  "aria-current", "aria-describedby", "aria-hidden", "aria-label", "aria-labelledby", "aria-live", "class", "cx", "cy", "d",
  "datetime", "dy", "fill", "focusable", "for", "height", "href", "id", "open", "patternUnits",
  "preserveAspectRatio", "r", "role", "rx", "scope", "tabindex", "text-anchor", "title", "transform", "type", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2",
]);

/**
 * Describes an element: `h("p", { class: "lead" }, "text", h("b", null, "more"))`.
 * `key` among the attributes tells siblings apart; `click` is called on a click.
 */
export function h(tag, attributes, ...children) {
  const { key, click, ...rest } = attributes ?? {};
  const kept = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return { tag, key: key ?? null, click: click ?? null, attributes: rest, children: kept };
}

/** Makes the children of `parent` what `children` describe. */
export function draw(parent, ...children) {
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  const keyed = new Map();
  for (const node of parent.childNodes) {
    if (node.drawnKey) keyed.set(node.drawnKey, node);
  }
  let next = parent.firstChild;
  for (const child of wanted) {
    const node = fitting(child, next, keyed) ?? made(child, parent);
    if (node === next) {
      next = next.nextSibling;
    } else {
      parent.insertBefore(node, next);
    }
    refresh(node, child);
  }
  while (next !== null) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

/** The existing node that can become `child`: the one of its key, or the next if neither has one. */
function fitting(child, next, keyed) {
  if (typeof child !== "object") return next !== null && next.nodeType === Node.TEXT_NODE ? next : null;
  const candidate = child.key === null ? next : (keyed.get(child.key) ?? null);
  const fits = candidate !== null && candidate.drawnTag === child.tag && (candidate.drawnKey ?? null) === child.key;
  return fits ? candidate : null;
}

function made(child, parent) {
  if (typeof child !== "object") return document.createTextNode("");
  const isSvg = child.tag === "svg" || (parent.namespaceURI === SVG && parent.localName !== "foreignObject");
  const node = isSvg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
  node.drawnTag = child.tag;
  node.drawnKey = child.key;
  return node;
}

function refresh(node, child) {
  if (typeof child !== "object") {
    const shown = visible(clip(String(child), TEXT_MAX));
    // Code is copied from the screen as it is.
    const text = node.parentNode.localName === "code" ? shown : isolated(shown);
    if (node.data !== text) node.data = text;
    return;
  }
  for (const { name } of Array.from(node.attributes)) {
    // What a person opened stays open.
    if (!(name in child.attributes) && name !== "open") node.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(child.attributes)) {
    if (!ATTRIBUTES.has(name)) throw new Error(`the attribute ${name} may not be drawn`);
    if (value === null || value === undefined || value === false) {
      node.removeAttribute(name);
    } else if (node.getAttribute(name) !== String(value)) {
      node.setAttribute(name, String(value));
    }
  }
  node.onclick = child.click;
  draw(node, child.children);
}
