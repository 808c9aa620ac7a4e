// Hands a file to the browser's downloads.

import { el } from "./elements.js";

export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name.replace(/[^\w.-]+/g, "-") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export const saveJson = (value, name) =>
  save(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }), name);
