// The network as a strip of layers, each drawn by its shape; a click opens one.

import { get } from "./api.js";
import { breakable, el, find, rove, setStop } from "./elements.js";
import { t } from "./messages.js";
import { at } from "./place.js";
import { problemBox } from "./problem.js";
import { state, update, watch } from "./state.js";

export let layers = [];

export function prepareStrip() {
  find("#strip").append(el("div", { class: "strip", role: "listbox", "aria-label": t("layers.list"), "aria-orientation": "horizontal" }));
  rove(find(".strip"), "[role=option]");
  watch(["layer"], mark);
}

/** Draw the chosen model's layers; the first with maps of its own is open unless the address names one. */
export async function showLayers(signal) {
  const strip = find(".strip");
  layers = [];
  try {
    layers = (await get(at(`v1/models/${encodeURIComponent(state.model)}/layers`), signal)).layers;
    strip.replaceChildren(...layers.map(block));
    mark();
  } catch (error) {
    strip.replaceChildren();
    if (!signal?.aborted) strip.append(problemBox(error));
  }
  if (!signal?.aborted) find("#strip").inert = false;
  return layers;
}

/** The layer that is open: the one of the address, else the first with a kernel and maps. */
export const openLayer = () => layers.find((layer) => layer.path === state.layer) ??
  layers.find((layer) => layer.kernel_shape && isSpatial(layer)) ?? layers[0];

export const isSpatial = (layer) => layer.output_shape.length === 4;

export const shapeOf = (layer) => layer.output_shape.slice(1).map((size) => size ?? "?").join(" × ");

function block(layer) {
  const [, side = 1, , channels] = isSpatial(layer) ? layer.output_shape : [0, 1, 1, layer.output_shape.at(-1)];
  const kind = layer.kernel_shape ? "learns" : layer.type === "InputLayer" ? "input" : "plain";
  return el("button", { type: "button", role: "option", class: kind, "data-path": layer.path,
    "aria-label": `${layer.path}, ${layer.type}, ${shapeOf(layer)}`,
    onclick: () => update({ layer: layer.path, channel: "", job: "" }, { push: true }) },
    // The side follows the maps' side, the depth the number of channels, both by their logarithm.
    el("span", { class: isSpatial(layer) ? "block maps" : "block", vars: { side: Math.log2((side ?? 64) + 1), channels: Math.log2((channels ?? 1) + 1) } }),
    el("span", { class: "name" }, breakable(layer.name)), el("span", { class: "hint" }, shapeOf(layer)));
}

function mark() {
  const options = [...find(".strip").querySelectorAll("[role=option]")];
  const path = openLayer()?.path;
  const chosen = options.find((option) => option.dataset.path === path);
  for (const option of options) option.setAttribute("aria-selected", String(option === chosen));
  setStop(options, chosen);
  const strip = find(".strip");
  // Not scrollIntoView, which would move the page as well.
  if (chosen) strip.scrollLeft = chosen.offsetLeft - strip.clientWidth / 2 + chosen.clientWidth / 2;
}
