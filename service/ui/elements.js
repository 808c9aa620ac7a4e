// Makes elements in one expression. Knows nothing of what they mean.

/** `el("button", {class: "quiet", "aria-pressed": "true", onclick}, "text", child)`; text is never read as HTML. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, item] of Object.entries(value)) node.style.setProperty(`--${key}`, item);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** A name whose line may end after each `_` and `/`: classes and layers have long ones, without spaces. */
export const breakable = (name) => name.split(/(?<=[_/])/).flatMap((part, place) => (place ? [el("wbr"), part] : [part]));

/** Text with `code` in backticks. */
export const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

export const find = (selector) => document.querySelector(selector);

/** Arrow keys, Home and End move the one tab stop among the items of a group; Enter and Space press, as ever. */
export function rove(group, selector) {
  const items = () => [...group.querySelectorAll(selector)];
  group.addEventListener("focusin", (event) => {
    const item = event.target.closest(selector);
    if (item) setStop(items(), item);
  });
  group.addEventListener("keydown", (event) => {
    const all = items();
    const place = all.indexOf(event.target.closest(selector));
    if (place < 0) return;
    const row = countInRow(all);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row };
    const target = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : place + (steps[event.key] ?? NaN);
    if (!all[target]) return;
    event.preventDefault();
    all[target].focus();
  });
}

/** One tab stop for the group: the chosen item, else the first. */
export function setStop(items, chosen) {
  for (const item of items) item.tabIndex = item === (chosen ?? items[0]) ? 0 : -1;
}

function countInRow(items) {
  const top = items[0].offsetTop;
  const next = items.findIndex((item) => item.offsetTop > top + 4);
  return next > 0 ? next : 1;
}
