// Where the network finds its evidence for a class: the map over the photo, one or two side by side.

import { paint } from "./colours.js";
import { el, find } from "./elements.js";
import { answerTo, isBrightened } from "./evidence.js";
import { heatmapControls } from "./heatmap_controls.js";
import { number, percent, t } from "./messages.js";
import { awaitsLoad } from "./model.js";
import { picture } from "./photo.js";
import { isAborted, problemBox } from "./problem.js";
import { mayCompute } from "./session.js";
import { state, update, watch } from "./state.js";

const stages = [];
const listeners = [];
let choices = { classes: [], layers: [] };

/** Called with each result of the first stage, or with its problem. */
export const onExplained = (listener) => listeners.push(listener);

export function showHeatmaps() {
  const first = makeStage({ classKey: "class", layerKey: "at", leads: true });
  const second = makeStage({ classKey: "class2", layerKey: "at2", leads: false });
  stages.push(first, second);
  find("#heatmap").append(el("div", { class: "stages" }, first.node, second.node), heatmapControls(() => ({ result: first.shown()?.result, maximum: first.maximum() })));
  // A new model or picture is asked about by `explain`.
  const isOwn = (changed) => !changed.includes("model") && !changed.includes("scene");
  watch(["class", "at"], (changed) => isOwn(changed) && first.ask());
  watch(["class2", "at2", "compare"], (changed) => isOwn(changed) && second.ask());
  watch(["same", "compare"], () => shareScale().catch(() => { /* the maps stay as they are */ }));
  watch(["colormap", "opacity"], () => stages.forEach((stage) => stage.colour()));
}

/** Ask anew for a new picture or model; resolves when the first map is there, to the problem if there is one. */
export function explain() {
  stages[1].ask();
  return stages[0].ask();
}

/** Which classes and layers can be chosen from. */
export function setChoices(changes) {
  choices = { ...choices, ...changes };
  find("#heatmap").classList.toggle("refused", Boolean(choices.refusal));
  stages.forEach((stage) => stage.offer());
}

function makeStage({ classKey, layerKey, leads }) {
  const photo = el("img", { class: "photo", alt: t("photo.alt") });
  const canvas = el("canvas", { class: "heat", role: "img", "aria-label": t("heat.none") });
  const frame = el("div", { class: "frame" }, photo, canvas);
  const classes = el("select", { "aria-label": t("heat.class"), onchange: () => update({ [classKey]: classes.value }) });
  const layers = el("select", { "aria-label": t("heat.layer"), onchange: () => update({ [layerKey]: layers.value }) });
  const caption = el("figcaption", {});
  const trouble = el("div");
  const node = el("figure", { class: "stage" }, el("div", { class: "row" },
    el("span", { class: "pair" }, t("heat.for"), classes), el("span", { class: "pair" }, t("heat.at"), layers)), frame, trouble, caption);
  let controller;
  let shown;
  let scaled;
  let top;

  async function ask() {
    controller?.abort();
    node.hidden = !leads && !state.compare;
    if (node.hidden || !picture || !state.model || !mayCompute()) return undefined;
    controller = new AbortController();
    const { signal } = controller;
    photo.src = picture.url;
    frame.hidden = !picture.readable;
    if (choices.refusal) return refuse();
    node.classList.add("waiting");
    if (awaitsLoad(state.model)) caption.textContent = t("model.loading", { name: state.model });
    try {
      const answer = await answerTo(state[classKey], state[layerKey], signal);
      if (!signal.aborted) await show(answer, signal);
    } catch (error) {
      if (isAborted(error) || signal.aborted) return error;
      fail(error);
      return error;
    } finally {
      if (!signal.aborted) node.classList.remove("waiting");
    }
    return undefined;
  }

  async function show(answer, signal) {
    const { target, layer } = answer.result;
    [shown, scaled, top] = [answer, undefined, undefined];
    trouble.replaceChildren();
    if (answer.plain) photo.src = answer.plain;
    frame.hidden = false;
    canvas.hidden = false;
    canvas.setAttribute("aria-label", t("heat.alt", { label: target.label, layer }));
    offer();
    colour();
    if (leads) listeners.forEach((listener) => listener(answer.result));
    await shareScale(signal);
  }

  /** Known beforehand: no question that can only be answered with a problem. */
  function refuse() {
    const problem = { code: "method_unavailable" };
    clear(problem);
    caption.textContent = t("heat.unavailable", { reason: choices.refusal });
    return problem;
  }

  function fail(error) {
    clear(error);
    trouble.replaceChildren(problemBox(error, ask));
  }

  function clear(problem) {
    shown = undefined;
    canvas.hidden = true;
    caption.textContent = "";
    trouble.replaceChildren();
    if (leads) listeners.forEach((listener) => listener(undefined, problem));
  }

  function colour() {
    if (!shown) return;
    const { result, shades } = scaled ?? shown;
    const { target, layer, values } = result;
    paint(canvas, shades, state.colormap, values.window);
    canvas.style.opacity = state.opacity;
    const said = values.empty ? t("heat.empty") : t("heat.caption",
      { label: target.label, layer, score: percent(target.score), max: number(top ?? values.max) });
    const told = isBrightened(result) && t("heat.range", result.provenance.plan.sample_range);
    caption.textContent = told ? `${said} ${told}` : said;
  }

  /** Draw anew so that `maximum` is full colour, or the map's own greatest value. */
  async function scaleTo(maximum, signal) {
    top = maximum;
    scaled = maximum && shown ? await answerTo(state[classKey], state[layerKey], signal, maximum) : undefined;
    if (!signal?.aborted) colour();
  }

  function offer() {
    const target = shown?.result.target;
    const labels = choices.classes.length ? choices.classes : (shown?.result.predictions ?? []).map((item) => item.label);
    fill(classes, labels.map((label, index) => [index, label]), state[classKey] || target?.index);
    fill(layers, choices.layers.map((path) => [path, path]), state[layerKey] || shown?.result.layer);
  }

  return { node, ask, colour, offer, scaleTo, shown: () => shown, maximum: () => top };
}

/** Two maps of one layer share their scale, so that the same colour means as much evidence in both. */
async function shareScale(signal) {
  const results = stages.map((stage) => stage.shown()?.result);
  const comparable = state.compare && state.same && results.every(Boolean) && results[0].layer === results[1].layer;
  const maximum = comparable ? Math.max(...results.map((result) => result.values.max)) : 0;
  await Promise.all(stages.map((stage) => stage.scaleTo(maximum > 0 ? maximum : undefined, signal)));
}

function fill(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => el("option", { value }, text)));
  select.value = chosen ?? "";
  select.disabled = pairs.length === 0;
}
