// Where the network finds its evidence for a class: the map over the photo, one or two side by side.

import { run } from "./api.js";
import { codeButtons } from "./code.js";
import { colormaps, paint, paintScale, readShades } from "./colours.js";
import { save } from "./download.js";
import { el, find } from "./elements.js";
import { number, percent, t } from "./messages.js";
import { awaitsLoad } from "./model.js";
import { picture } from "./photo.js";
import { isAborted, problemBox } from "./problem.js";
import { state, update, watch } from "./state.js";

const TOP = 10;
const KEPT = 24;
// Answers by what was asked, so that what was seen before is there at once.
const answers = new Map();
const stages = [];
const listeners = [];
let choices = { classes: [], layers: [] };

/** Called with each result of the first stage, or with its problem. */
export const onExplained = (listener) => listeners.push(listener);

export function showHeatmaps() {
  const first = makeStage({ classKey: "class", layerKey: "at", leads: true });
  const second = makeStage({ classKey: "class2", layerKey: "at2", leads: false });
  stages.push(first, second);
  find("#heatmap").append(el("div", { class: "stages" }, first.node, second.node), controls());
  watch(["class", "at"], () => first.ask());
  watch(["class2", "at2", "compare"], () => second.ask());
  watch(["colormap", "opacity"], () => stages.forEach((stage) => stage.colour()));
}

/** Ask anew for a new picture or model; resolves when the first map is there. */
export function explain() {
  stages[1].ask();
  return stages[0].ask();
}

/** Which classes and layers can be chosen from. */
export function setChoices(changes) {
  choices = { ...choices, ...changes };
  stages.forEach((stage) => stage.offer());
}

export const heatmapRequest = (classIndex, layer) => ({
  model: state.model, method: "grad-cam", image: picture?.blob, picture,
  params: { class_index: classIndex, layer, colormap: state.colormap, opacity: state.opacity, top: TOP },
});

function makeStage({ classKey, layerKey, leads }) {
  const photo = el("img", { class: "photo", alt: t("photo.alt") });
  const canvas = el("canvas", { class: "heat", role: "img", "aria-label": t("heat.none") });
  const frame = el("div", { class: "frame" }, photo, canvas);
  const classes = el("select", { "aria-label": t("heat.class"), onchange: () => update({ [classKey]: classes.value }) });
  const layers = el("select", { "aria-label": t("heat.layer"), onchange: () => update({ [layerKey]: layers.value }) });
  const caption = el("figcaption", {});
  const trouble = el("div");
  const node = el("figure", { class: "stage" }, el("div", { class: "row" }, t("heat.for"), classes, t("heat.at"), layers), frame, trouble, caption);
  let controller;
  let shown;

  async function ask() {
    controller?.abort();
    node.hidden = !leads && !state.compare;
    if (node.hidden || !picture || !state.model) return;
    controller = new AbortController();
    const { signal } = controller;
    photo.src = picture.url;
    node.classList.add("waiting");
    if (awaitsLoad(state.model)) caption.textContent = t("model.loading", { name: state.model });
    try {
      const answer = await answerTo(state[classKey], state[layerKey], signal);
      if (!signal.aborted) show(answer);
    } catch (error) {
      if (isAborted(error) || signal.aborted) return;
      fail(error);
    }
    node.classList.remove("waiting");
  }

  function show(answer) {
    const { target, layer, values } = answer.result;
    shown = answer;
    trouble.replaceChildren();
    if (!picture.readable) photo.src = answer.input;
    canvas.hidden = false;
    canvas.setAttribute("aria-label", t("heat.alt", { label: target.label, layer }));
    caption.textContent = values.empty ? t("heat.empty") : t("heat.caption",
      { label: target.label, layer, score: percent(target.score), max: number(values.max) });
    offer();
    colour();
    if (leads) listeners.forEach((listener) => listener(answer.result));
  }

  function fail(error) {
    shown = undefined;
    canvas.hidden = true;
    caption.textContent = "";
    trouble.replaceChildren(problemBox(error, ask));
    if (leads) listeners.forEach((listener) => listener(undefined, error));
  }

  function colour() {
    if (!shown) return;
    paint(canvas, shown.shades, state.colormap);
    canvas.style.opacity = state.opacity;
  }

  function offer() {
    const target = shown?.result.target;
    const labels = choices.classes.length ? choices.classes : (shown?.result.predictions ?? []).map((item) => item.label);
    fill(classes, labels.map((label, index) => [index, label]), state[classKey] || target?.index);
    fill(layers, choices.layers.map((path) => [path, path]), state[layerKey] || shown?.result.layer);
  }

  return { node, ask, colour, offer, shown: () => shown };
}

function fill(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => el("option", { value }, text)));
  select.value = chosen ?? "";
  select.disabled = pairs.length === 0;
}

async function answerTo(classIndex, layer, signal) {
  const key = JSON.stringify([picture.url, state.model, classIndex, layer]);
  if (!answers.has(key)) {
    const request = heatmapRequest(classIndex, layer);
    // Gray shades: the page colours them itself, at once, with the service's own tables.
    const result = await run({ ...request, params: { ...request.params, colormap: "gray" } }, { signal });
    const urls = Object.fromEntries(result.images.map((image) => [image.name, `data:${image.media_type};base64,${image.data}`]));
    answers.set(key, { result: { ...result, images: [] }, shades: await readShades(urls.heatmap), input: urls.input });
    if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  }
  return answers.get(key);
}

function controls() {
  const opacity = el("input", { type: "range", id: "opacity", min: 0, max: 1, step: 0.05,
    oninput: () => update({ opacity: opacity.value }) });
  opacity.value = state.opacity;
  const scale = el("canvas", { class: "scale", "aria-hidden": "true" });
  const colormap = el("select", { id: "colormap", onchange: () => update({ colormap: colormap.value }) },
    colormaps().map((name) => el("option", {}, name)));
  const compare = el("button", { type: "button", class: "quiet", onclick: toggleComparison });
  const mark = () => {
    colormap.value = state.colormap;
    opacity.value = state.opacity;
    paintScale(scale, state.colormap);
    compare.textContent = state.compare ? t("heat.stop_comparing") : t("heat.compare");
  };
  watch(["colormap", "opacity", "compare"], mark);
  mark();
  return el("div", { class: "controls row" },
    el("label", { for: "opacity" }, t("heat.opacity")), opacity,
    el("label", { for: "colormap" }, t("heat.colormap")), colormap, scale, compare,
    el("button", { type: "button", class: "quiet", onclick: savePicture }, t("heat.save")),
    codeButtons(() => heatmapRequest(state.class, state.at)));
}

/** Compare with the second best class at first. */
function toggleComparison() {
  const second = stages[0].shown()?.result.predictions[1];
  update(state.compare ? { compare: "", class2: "", at2: "" } : { compare: "1", class2: second?.index ?? "", at2: state.at });
}

/** The service's own picture, not a copy of the screen. */
async function savePicture() {
  const target = stages[0].shown()?.result.target;
  save(await run(heatmapRequest(state.class, state.at), { picture: true }), `heat-map-${target?.label ?? "class"}.png`);
}
