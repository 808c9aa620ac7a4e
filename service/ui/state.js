// What is looked at, kept in the address so that a link reproduces it. Everything is text; the default is left out.

import { at } from "./place.js";

const DEFAULTS = {
  view: "look", model: "", scene: "", class: "", at: "", compare: "", same: "1", class2: "", at2: "",
  layer: "", channel: "", colormap: "inferno", opacity: "0.4", method: "", job: "",
};

export const state = read();
const listeners = [];

/** Call `listener(changed)` whenever one of the keys changes; `changed` are all keys that did so together. */
export function watch(keys, listener) {
  listeners.push({ keys, listener });
}

/** `push` makes a step that the browser's Back undoes. */
export function update(changes, { push = false } = {}) {
  const changed = assign(changes);
  if (changed.length === 0) return;
  history[push ? "pushState" : "replaceState"](null, "", address());
  tell(changed);
}

/** The address of the view, without its host. */
export function address() {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) if (value !== DEFAULTS[key]) query.set(key, value);
  const text = query.toString();
  return at(text ? `?${text}` : "");
}

addEventListener("popstate", () => tell(assign(read())));

function read() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(DEFAULTS).map(([key, value]) => [key, query.get(key) ?? value]));
}

function assign(changes) {
  const changed = Object.keys(changes).filter((key) => state[key] !== String(changes[key] ?? ""));
  for (const key of changed) state[key] = String(changes[key] ?? "");
  return changed;
}

function tell(changed) {
  for (const { keys, listener } of listeners) {
    const own = changed.filter((key) => keys.includes(key));
    if (own.length > 0) listener(changed);
  }
}
