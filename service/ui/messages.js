// The page's words in the reader's language, and numbers as that language writes them.

import { at } from "./place.js";

const LANGUAGES = ["en", "zh"];
let words = {};
export let language = "en";

/** Load the words of the chosen language, else of the browser's first that there is. */
export async function loadMessages() {
  language = stored() ?? navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => LANGUAGES.includes(tag)) ?? "en";
  words = await (await fetch(at(`ui/locales/${language}.json`))).json();
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  translate(document);
}

/** The message with its `{places}` filled in. */
export function t(key, places = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole);
}

/** Fill in the elements that name their message: `data-t` their text, `data-t-label` their accessible name. */
function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
}

export function setLanguage(tag) {
  try { localStorage.setItem("language", tag); } catch { /* private windows may refuse: then it lasts for this page */ }
  location.reload();
}

export const number = (value, options = { maximumSignificantDigits: 4, notation: isTiny(value) ? "scientific" : "standard" }) =>
  new Intl.NumberFormat(language, options).format(value);
export const percent = (share) =>
  new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);
export const moment = (text) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));

const isTiny = (value) => value !== 0 && Math.abs(value) < 1e-3;

function stored() {
  try {
    const tag = localStorage.getItem("language");
    return LANGUAGES.includes(tag) ? tag : undefined;
  } catch { return undefined; }
}
