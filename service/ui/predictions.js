// What the model says, with bars; a click asks for the class's heat map.

import { run } from "./api.js";
import { breakable, el, find, rove, setStop } from "./elements.js";
import { number, percent, t } from "./messages.js";
import { picture } from "./photo.js";
import { isAborted, problemBox } from "./problem.js";
import { state, update, watch } from "./state.js";

const SHARES = ["classification", "binary"];
let shown = [];
let task = "classification";
let refusal;

export function preparePredictions() {
  rove(find("#classes"), "button");
  watch(["class"], mark);
}

/** What the scores mean, and why there are none, if so. */
export const setTask = (name, reason) => { [task, refusal] = [name, reason]; };

export function showPredictions(predictions) {
  if (JSON.stringify(predictions) !== JSON.stringify(shown)) {
    shown = predictions;
    find("#classes").replaceChildren(el("ol", { class: "bars" }, predictions.map(row)));
  }
  mark();
}

/** For models without heat maps: ask for the predictions alone, or say why there are none. */
export async function askPredictions() {
  if (refusal) {
    shown = [];
    find("#classes").replaceChildren(el("p", { class: "hint" }, t("predictions.none", { reason: refusal })));
    return;
  }
  try {
    showPredictions((await run({ model: state.model, method: "predictions", params: { top: 10 }, image: picture.blob })).predictions);
  } catch (error) {
    shown = [];
    if (!isAborted(error)) find("#classes").replaceChildren(problemBox(error));
  }
}

function row({ index, label, score }) {
  const share = SHARES.includes(task);
  return el("li", {}, el("button", { type: "button", "data-class": index, vars: { share: share ? score : 0 },
    onclick: () => update({ class: index }, { push: true }) },
    el("span", { class: "label" }, breakable(label)), " ",
    el("span", { class: "score" }, share ? percent(score) : number(score)),
    el("span", { class: "bar", "aria-hidden": "true" })));
}

function mark() {
  const best = shown[0]?.index;
  const buttons = [...find("#classes").querySelectorAll("button")];
  const chosen = buttons.find((button) => button.dataset.class === String(state.class || best));
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
  setStop(buttons, chosen);
}
