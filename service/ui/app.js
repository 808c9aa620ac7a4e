// The page's composition root: what is shown, in which order, and what follows from what.

import { prepareActivations, showActivations } from "./activations.js";
import { get } from "./api.js";
import { prepareChannel, showChannel } from "./channel.js";
import { copy } from "./code.js";
import { setTables } from "./colours.js";
import { el, find } from "./elements.js";
import { explain, onExplained, setChoices, showHeatmaps } from "./heatmap.js";
import { prepareJobs } from "./jobs.js";
import { isSpatial, prepareStrip, showLayers } from "./layers.js";
import { language, loadMessages, setLanguage, t } from "./messages.js";
import { prepareMethods, setKnown } from "./methods.js";
import { awaitsLoad, describeModel, isUnusable, loadModel, showModelChoice } from "./model.js";
import { onPicture, showPhotoChoice } from "./photo.js";
import { askPredictions, preparePredictions, setTask, showPredictions } from "./predictions.js";
import { at } from "./place.js";
import { isAborted, problemBox } from "./problem.js";
import { address, state, update, watch } from "./state.js";
import { mayCompute } from "./session.js";
import { prepareSession } from "./signin.js";
import { showThumbnails } from "./thumbnails.js";

async function start() {
  await loadMessages();
  prepareFrame();
  await prepareSession();
  const facts = await get(at("ui/facts.json"));
  setTables(facts.colormaps);
  for (const prepare of [showHeatmaps, preparePredictions, prepareStrip, prepareActivations, prepareChannel, prepareJobs]) prepare();
  onExplained((result, problem) => {
    if (result) showPredictions(result.predictions);
    else if (isHopeless(problem)) showPredictions([]);
    else askPredictions();
  });
  await showModelChoice();
  await showPhotoChoice(facts.scenes);
  onPicture(lookAtPicture);
  watch(["model"], lookAtModel);
  await Promise.all([lookAtModel(), prepareMethods()]);
}

/** The answer first, then the network behind it. */
async function lookAtPicture() {
  if (isUnusable(state.model) || !mayCompute()) return;
  const problem = await explain();
  if (!isAborted(problem)) await lookInside(problem);
}

/** Whether nothing else can be asked either: the picture or the model is at fault, not the question. */
const isHopeless = ({ code = "" }) => /^(image_|model_|weights_|$)/.test(code);

async function lookInside(problem) {
  if (problem && isHopeless(problem)) {
    for (const place of ["#activations", "#channel"]) find(place).replaceChildren();
    return;
  }
  await Promise.all([showActivations(), showChannel()]);
  showThumbnails();
}

let looking;

async function lookAtModel() {
  looking?.abort();
  looking = new AbortController();
  const { signal } = looking;
  setChoices({ classes: [], layers: [], refusal: undefined });
  find("#main").classList.toggle("no-model", isUnusable(state.model));
  if (isUnusable(state.model)) return;
  // What is still there is of another network.
  for (const place of ["#strip", "#activations", "#channel"]) find(place).inert = true;
  try {
    if (!mayCompute()) return await lookOnly(signal);
    // One that is not loaded yet has nothing to say of itself before the first question.
    if (!awaitsLoad(state.model)) know(await describeModel(signal));
    const problem = await explain();
    const detail = await loadModel(signal);
    const layers = await showLayers(signal);
    if (signal.aborted) return;
    know(detail);
    setChoices({ layers: layers.filter(isSpatial).map((layer) => layer.path) });
    await lookInside(problem);
  } catch (error) {
    if (!signal.aborted) find("#model-problem").replaceChildren(problemBox(error));
  }
}

/** With a key that does not compute: what is known without. */
async function lookOnly(signal) {
  const detail = await describeModel(signal);
  know(detail);
  if (detail.parameters) await showLayers(signal);
  else find(".strip").replaceChildren(el("p", { class: "hint" }, t("session.not_loaded")));
}

function know(detail) {
  const refusal = (name) => detail.methods.find((method) => method.name === name && !method.available)?.reason;
  setTask(detail.task, refusal("predictions"));
  setKnown(detail);
  setChoices({ classes: detail.classes ?? [], refusal: refusal("grad-cam") });
}

function prepareFrame() {
  find("#language").value = language;
  find("#language").addEventListener("change", (event) => setLanguage(event.target.value));
  for (const link of document.querySelectorAll("[data-view]")) {
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      update({ view: link.dataset.view }, { push: true });
    });
  }
  // The page may be seen without the last slash.
  for (const link of document.querySelectorAll("[data-route]")) link.href = at(link.dataset.route);
  find("#copy-link").addEventListener("click", () => copy(location.origin + address()));
  watch(["view"], showView);
  watch(["scene"], noteLink);
  showView();
}

function showView() {
  for (const part of document.querySelectorAll("[data-page]")) part.hidden = part.dataset.page !== state.view;
  find("#source").hidden = state.view === "jobs";
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function noteLink() {
  find("#link-note").textContent = state.scene ? "" : t("share.no_photo");
}

start().catch((error) => find("#model-problem").replaceChildren(problemBox(error)));
