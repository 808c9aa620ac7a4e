// Which model is looked into: the choice, its state and reasons, and what is known of the chosen one.

import { get, postEmpty, run } from "./api.js";
import { el, find } from "./elements.js";
import { number, t } from "./messages.js";
import { picture } from "./photo.js";
import { at } from "./place.js";
import { problemBox } from "./problem.js";
import { mayLoad } from "./session.js";
import { state, update, watch } from "./state.js";

const GROUPS = { ready: "model.ready", available: "model.available", failed: "model.failed" };
const WITHOUT_SCORES = ["autoencoder", "features"];
let details = [];

/** List the models; without one in the address the first that is ready is taken, one with class scores before others. */
export async function showModelChoice() {
  const select = find("#model");
  select.addEventListener("change", () =>
    update({ model: select.value, class: "", class2: "", at: "", at2: "", layer: "", channel: "", job: "" }, { push: true }));
  watch(["model"], markModel);
  details = (await get(at("v1/models"))).details;
  for (const [kind, key] of Object.entries(GROUPS)) {
    const own = details.filter((item) => groupOf(item) === kind);
    if (own.length) select.append(el("optgroup", { label: t(key) }, own.map((item) => el("option", {}, item.name))));
  }
  if (!state.model) update({ model: (details.find(hasScores) ?? details.find(isReady) ?? details[0]).name });
  markModel();
}

/** What is on its way in or out of memory is available to whoever asks, a moment later. */
const groupOf = ({ state }) => (state in GROUPS ? state : "available");

const isReady = (item) => item.state === "ready";

const hasScores = (item) => isReady(item) && !WITHOUT_SCORES.includes(item.task);

/** Whether the first request will have to load it. */
export const awaitsLoad = (name) => details.some((item) => item.name === name && groupOf(item) === "available");

/** Whether it is unknown or cannot be loaded; then there is nothing to ask. */
export const isUnusable = (name) => !details.some((item) => item.name === name && item.state !== "failed");

/** What is known of the chosen model as it is: nothing is loaded for it. */
export const describeModel = async (signal) => note(await get(route(), signal));

/** The same, loaded if need be: only then there are layers. */
export async function loadModel(signal) {
  if (mayLoad()) return note(await postEmpty(`${route()}/load`, signal));
  const detail = await get(route(), signal);
  if (isReady(detail)) return note(detail);
  // Whoever may not load it may ask it something.
  await run({ model: state.model, method: "activations", image: picture.blob, params: { channels: "0" } }, { signal });
  return note(await get(route(), signal));
}

const route = () => at(`v1/models/${encodeURIComponent(state.model)}`);

/** Say it beside the choice. */
function note(detail) {
  const summary = details.find((item) => item.name === detail.name);
  if (summary) summary.state = detail.state;
  const size = detail.input && `${detail.input.width ?? "…"} × ${detail.input.height ?? "…"}`;
  const facts = [size && t("model.input", { size }), detail.parameters &&
    t("model.parameters", { count: number(detail.parameters.parameters, {}) }), ...detail.repairs];
  find("#model-facts").textContent = facts.filter(Boolean).join(" · ");
  return detail;
}

function whyUnusable(name) {
  const known = details.find((item) => item.name === name);
  return known ? { title: t("model.failed_title", { name }), detail: known.reason, code: "model_failed" }
    : { title: t("model.unknown", { name }), detail: t("model.unknown_detail"), code: "model_not_found" };
}

function markModel() {
  find("#model").value = state.model;
  find("#model-facts").textContent = awaitsLoad(state.model) ? t("model.first_use") : "";
  find("#model-problem").replaceChildren(...(isUnusable(state.model) ? [problemBox(whyUnusable(state.model))] : []));
}
