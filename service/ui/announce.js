// Short news for everybody: seen at the foot of the window, and read out by screen readers.

import { find } from "./elements.js";

let timer;

export function say(text) {
  const place = find("#news");
  place.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => { place.textContent = ""; }, 6000);
}
