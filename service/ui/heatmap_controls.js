// How heat maps are drawn, compared and taken away. What is set here stands in the address.

import { run } from "./api.js";
import { codeButtons } from "./code.js";
import { colormaps, paintScale } from "./colours.js";
import { save } from "./download.js";
import { el } from "./elements.js";
import { heatmapRequest } from "./evidence.js";
import { t } from "./messages.js";
import { guard } from "./problem.js";
import { state, update, watch } from "./state.js";

/** `shown()` is the first heat map: {result, maximum}, the latter where the scale is shared. */
export function heatmapControls(shown) {
  const opacity = el("input", { type: "range", id: "opacity", min: 0, max: 1, step: 0.05,
    oninput: () => update({ opacity: opacity.value }) });
  opacity.value = state.opacity;
  const scale = el("canvas", { class: "scale", "aria-hidden": "true" });
  const colormap = el("select", { id: "colormap", onchange: () => update({ colormap: colormap.value }) },
    colormaps().map((name) => el("option", {}, name)));
  const compare = el("button", { type: "button", class: "quiet", onclick: () => toggleComparison(shown().result) });
  const same = el("input", { type: "checkbox", id: "same", onchange: () => update({ same: same.checked ? "1" : "" }) });
  const sameLabel = el("label", { class: "row" }, same, t("heat.same_scale"));
  const mark = () => {
    same.checked = state.same !== "";
    sameLabel.hidden = state.compare === "";
    colormap.value = state.colormap;
    opacity.value = state.opacity;
    paintScale(scale, state.colormap);
    compare.textContent = state.compare ? t("heat.stop_comparing") : t("heat.compare");
  };
  const trouble = el("div");
  watch(["colormap", "opacity", "compare", "same"], mark);
  mark();
  return el("div", { class: "controls row" },
    el("span", { class: "pair" }, el("label", { for: "opacity" }, t("heat.opacity")), opacity),
    el("span", { class: "pair" }, el("label", { for: "colormap" }, t("heat.colormap")), colormap, scale), compare, sameLabel,
    el("button", { type: "button", class: "quiet", onclick: () => guard(trouble, () => savePicture(shown())) }, t("heat.save")),
    codeButtons(() => heatmapRequest(state.class, state.at, shown().maximum)), trouble);
}

/** Compare with the second best class at first. */
function toggleComparison(result) {
  const second = result?.predictions[1];
  update(state.compare ? { compare: "", class2: "", at2: "" } : { compare: "1", class2: second?.index ?? "", at2: state.at });
}

/** The service's own picture, not a copy of the screen. */
async function savePicture({ result, maximum }) {
  const blob = await run(heatmapRequest(state.class, state.at, maximum), { picture: true });
  save(blob, `heat-map-${result?.target.label ?? "class"}.png`);
}
