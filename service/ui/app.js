// The page's composition root: what is shown, in which order, and what follows from what.

import { get } from "./api.js";
import { copy } from "./code.js";
import { setTables } from "./colours.js";
import { find } from "./elements.js";
import { explain, onExplained, setChoices, showHeatmaps } from "./heatmap.js";
import { language, loadMessages, setLanguage, t } from "./messages.js";
import { describeModel, showModelChoice } from "./model.js";
import { onPicture, showPhotoChoice } from "./photo.js";
import { askPredictions, preparePredictions, setTask, showPredictions } from "./predictions.js";
import { problemBox } from "./problem.js";
import { address, state, update, watch } from "./state.js";

async function start() {
  await loadMessages();
  prepareFrame();
  const facts = await get("/ui/facts.json");
  setTables(facts.colormaps);
  showHeatmaps();
  preparePredictions();
  onExplained((result, problem) => (result ? showPredictions(result.predictions) : askPredictions(problem)));
  await showModelChoice();
  onPicture(() => explain());
  watch(["model"], lookAtModel);
  await showPhotoChoice(facts.scenes);
  await describe();
}

async function lookAtModel() {
  setChoices({ classes: [], layers: [] });
  await explain();
  await describe();
}

async function describe() {
  try {
    const detail = await describeModel();
    setTask(detail.task);
    setChoices({ classes: detail.classes ?? [] });
    const { layers } = await get(`/v1/models/${encodeURIComponent(state.model)}/layers`);
    setChoices({ layers: layers.filter((layer) => layer.output_shape.length === 4).map((layer) => layer.path) });
  } catch (error) {
    find("#model-problem").replaceChildren(problemBox(error));
  }
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
