// What the channels of a layer answer to the picture: a grid of maps, each cut from the service's one sheet.

import { run } from "./api.js";
import { codeButtons } from "./code.js";
import { el, find, rove, setStop } from "./elements.js";
import { number, percent, t } from "./messages.js";
import { openLayer, shapeOf } from "./layers.js";
import { patternPlace } from "./patterns.js";
import { picture } from "./photo.js";
import { addressOf } from "./pictures.js";
import { isAborted, problemBox } from "./problem.js";
import { mayCompute } from "./session.js";
import { state, update, watch } from "./state.js";

const PAGE = 64;
const COLUMNS = 16;
// The service draws a vector as rows of so many cells.
const STRIP_COLUMNS = 64;
let controller;
let patterns;

export function prepareActivations() {
  patterns = patternPlace(t("activations.patterns"));
  watch(["layer"], (changed) => changed.includes("model") || showActivations());
  watch(["channel"], mark);
}

/** Draw the open layer's first channels. */
export async function showActivations() {
  controller?.abort();
  const layer = openLayer();
  if (!layer || !picture || !mayCompute()) return;
  controller = new AbortController();
  const { signal } = controller;
  const section = find("#activations");
  section.classList.add("waiting");
  // What is still there is of another layer: a click on it would choose a channel of this one, or be lost.
  section.inert = true;
  try {
    const result = await run(requestFor(layer, 1), { signal });
    if (!signal.aborted) draw(section, layer, result);
  } catch (error) {
    if (isAborted(error) || signal.aborted) return;
    section.replaceChildren(heading(layer), problemBox(error, showActivations));
  }
  section.classList.remove("waiting");
  section.inert = false;
}

const requestFor = (layer, page) => ({ model: state.model, method: "activations", image: picture.blob, picture,
  params: { layer: layer.path, columns: COLUMNS, page, page_size: PAGE } });

const heading = (layer) => el("h2", {}, t("activations.heading", { layer: layer.path }));

function draw(section, layer, result) {
  const { values } = result;
  const grid = el("div", { class: "grid", role: "listbox", "aria-label": t("activations.list") });
  const more = el("button", { type: "button", class: "quiet", onclick: () => addPage(layer, grid, more) }, t("activations.more"));
  const facts = t("activations.facts", { shape: shapeOf(layer), type: layer.type, min: number(values.min),
    max: number(values.max), zeros: percent(values.sparsity), dead: values.dead_channels.length });
  section.replaceChildren(heading(layer), el("p", { class: "hint" }, values.empty ? t("activations.empty") : facts), grid,
    el("div", { class: "row controls" }, more, patterns.button, codeButtons(() => requestFor(layer, 1))), patterns.node);
  rove(grid, "[role=option]");
  addTiles(grid, result, more);
  patterns.belong(layer.path, () => `0-${countShown(grid) - 1}`);
}

async function addPage(layer, grid, more) {
  more.disabled = true;
  const page = Math.ceil(countShown(grid) / PAGE) + 1;
  try {
    addTiles(grid, await run(requestFor(layer, page), { signal: controller.signal }), more);
  } catch (error) {
    if (!isAborted(error)) more.replaceWith(problemBox(error));
  }
  more.disabled = false;
}

const countShown = (grid) => grid.querySelectorAll("[role=option]").length;

function addTiles(grid, { images: [sheet], values }, more) {
  const isVector = values.shape.length === 1;
  const columns = Math.min(isVector ? STRIP_COLUMNS : COLUMNS, values.channels.length);
  const rows = Math.ceil(values.channels.length / columns);
  const dead = new Set(values.dead_channels);
  const ratio = (sheet.width / columns) / (sheet.height / rows);
  const place = (index, count) => (count > 1 ? (100 * index) / (count - 1) : 0);
  grid.classList.toggle("cells", isVector);
  grid.classList.toggle("large", values.pages === 1 && values.channels.length <= 32);
  grid.append(el("div", { class: "sheet", role: "presentation", vars: { sheet: `url("${addressOf(sheet)}")`, columns, rows, ratio } },
    values.channels.map((channel, index) => el("button", { type: "button", role: "option", "data-channel": channel,
      "aria-label": t(dead.has(channel) ? "activations.dead" : "activations.channel", { channel }), title: `${channel}`,
      class: dead.has(channel) ? "dead" : undefined, onclick: () => choose(channel),
      vars: { x: `${place(index % columns, columns)}%`, y: `${place(Math.floor(index / columns), rows)}%` } }))));
  more.hidden = values.page >= values.pages;
  mark();
}

function choose(channel) {
  update({ channel }, { push: true });
  // On a narrow screen it stands below all channels.
  const place = find("#channel");
  if (place.getBoundingClientRect().top > innerHeight - 100) place.scrollIntoView();
}

function mark() {
  const options = [...find("#activations").querySelectorAll(".grid [role=option]")];
  const chosen = options.find((option) => option.dataset.channel === state.channel);
  for (const option of options) option.setAttribute("aria-selected", String(option === chosen));
  setStop(options, chosen);
}
