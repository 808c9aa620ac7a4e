// Any method's answer: its pictures, its predictions, and the numbers behind them.

import { saveJson } from "./download.js";
import { el, withCode } from "./elements.js";
import { explain } from "./members.js";
import { number, percent, t } from "./messages.js";
import { figure, saveAll, withoutData } from "./pictures.js";

export function resultView(result) {
  const name = `${result.model}-${result.method}`;
  return el("div", { class: "result", role: "group", "aria-label": t("result.group") },
    el("div", { class: "gallery" }, result.images.map((image) => figure(image))),
    result.predictions.length > 0 && el("ol", { class: "plain" }, result.predictions.map((item) =>
      el("li", {}, `${item.label} `, el("span", { class: "hint" }, percent(item.score))))),
    el("div", { class: "row" },
      result.images.length > 0 && el("button", { type: "button", class: "quiet",
        onclick: () => saveAll(result.images, result, name) }, t("result.zip")),
      el("button", { type: "button", class: "quiet", onclick: () => saveJson(withoutData(result), `${name}.json`) }, t("result.json"))),
    numbersOf(result));
}

/** Single numbers as a list, everything as JSON to unfold. */
export function numbersOf(result) {
  const single = Object.entries(result.values).filter(([, value]) => ["number", "string", "boolean"].includes(typeof value));
  const { method, values, provenance, timings_seconds } = result;
  const told = explain(method, values);
  const meaning = new Map(told);
  const rows = single.map(([name, value]) => el("div", { title: meaning.get(name) }, el("dt", {}, name),
    el("dd", {}, typeof value === "number" ? number(value) : String(value))));
  return el("div", {}, rows.length > 0 && el("dl", { class: "facts" }, rows),
    el("details", {}, el("summary", {}, t("result.numbers")),
      told.length > 0 && el("dl", { class: "members", lang: "en" }, told.flatMap(([name, about]) =>
        [el("dt", {}, el("code", {}, name)), el("dd", {}, withCode(about))])),
      el("pre", { tabindex: 0, "aria-label": t("result.numbers") }, JSON.stringify({ values, provenance, timings_seconds }, null, 1))));
}
