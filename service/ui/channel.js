// One channel, large: its map, its numbers, the kernel that makes it, and what excites it most.

import { run } from "./api.js";
import { codeButtons } from "./code.js";
import { el, find } from "./elements.js";
import { drawKernel } from "./kernel.js";
import { number, percent, t } from "./messages.js";
import { openLayer } from "./layers.js";
import { patternPlace } from "./patterns.js";
import { picture } from "./photo.js";
import { addressOf } from "./pictures.js";
import { isAborted, problemBox } from "./problem.js";
import { mayCompute } from "./session.js";
import { state, watch } from "./state.js";

const BINS = 32;
let controller;
let pattern;

export function prepareChannel() {
  pattern = patternPlace(t("channel.draw"), { main: true });
  watch(["channel", "layer"], (changed) => changed.includes("model") || showChannel());
}

/** Draw the chosen channel, or say that one can be chosen. */
export async function showChannel() {
  controller?.abort();
  const section = find("#channel");
  section.inert = false;
  const layer = openLayer();
  const channel = state.channel;
  if (!layer || !picture || channel === "" || !mayCompute()) {
    section.replaceChildren(el("p", { class: "hint" }, t("channel.choose")));
    return;
  }
  controller = new AbortController();
  const { signal } = controller;
  const map = el("div");
  const kernel = el("div");
  const request = { model: state.model, method: "activations", image: picture.blob, picture, params: { layer: layer.path, channel } };
  pattern.belong(layer.path, () => channel);
  section.replaceChildren(el("h2", {}, t("channel.heading", { channel, layer: layer.path })), map, kernel,
    el("h3", {}, t("channel.excites")), pattern.node, el("div", { class: "row" }, pattern.button, codeButtons(() => request)));
  await Promise.all([
    fill(map, signal, async () => drawMap(channel, await run({ ...request, params: { ...request.params, values: "raw" } }, { signal }))),
    layer.kernel_shape && fill(kernel, signal, async () => drawKernel(channel,
      await run({ model: state.model, method: "filters", params: { layer: layer.path, filters: channel, margin: 0 } }, { signal }))),
  ]);
}

async function fill(place, signal, draw) {
  place.classList.add("waiting");
  try {
    const nodes = await draw();
    if (!signal.aborted) place.replaceChildren(...nodes);
  } catch (error) {
    if (isAborted(error) || signal.aborted) return;
    place.replaceChildren(problemBox(error));
  }
  place.classList.remove("waiting");
}

function drawMap(channel, { images: [image], values }) {
  const numbers = [values.map].flat(Infinity);
  const map = el("img", { class: "pixels", src: addressOf(image), alt: t("channel.activation", { channel }) });
  const single = numbers.length === 1;
  const frame = el("div", { class: single ? "frame map single" : "frame map" }, el("img", { class: "photo", src: picture.url, alt: "" }), map);
  const over = el("input", { type: "checkbox", onchange: () => frame.classList.toggle("over", over.checked) });
  if (single) return [frame, measure(numbers)];
  return [frame, el("label", { class: "row" }, over, t("channel.over")), histogram(numbers), measure(numbers)];
}

function measure(numbers) {
  const sum = numbers.reduce((total, value) => total + value, 0);
  const zeros = numbers.filter((value) => value === 0).length;
  const facts = [[t("channel.min"), number(least(numbers))], [t("channel.mean"), number(sum / numbers.length)],
    [t("channel.max"), number(greatest(numbers))], [t("channel.zeros"), percent(zeros / numbers.length)]];
  return el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** How often which value occurs; bars by the root of the count, or the zeros would hide all others. */
function histogram(numbers) {
  const [low, high] = [least(numbers), greatest(numbers)];
  const counts = new Array(BINS).fill(0);
  for (const value of numbers) counts[high > low ? Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS)) : 0] += 1;
  const most = Math.sqrt(Math.max(...counts));
  return el("div", { class: "histogram", role: "img", "aria-label": t("channel.histogram", { low: number(low), high: number(high) }) },
    counts.map((count) => el("span", { vars: { height: Math.sqrt(count) / most } })));
}

// Math.min with a spread fails on large maps.
const least = (numbers) => numbers.reduce((a, b) => Math.min(a, b), Infinity);
const greatest = (numbers) => numbers.reduce((a, b) => Math.max(a, b), -Infinity);
