// Asks for heat maps, and keeps the last answers: what was seen before is there at once.

import { run } from "./api.js";
import { readShades } from "./colours.js";
import { picture } from "./photo.js";
import { state } from "./state.js";

const TOP = 10;
const KEPT = 24;
const answers = new Map();

/** The request for the heat map as it is seen; with a `maximum`, that raw value is full colour. */
export const heatmapRequest = (classIndex, layer, maximum) => ({
  model: state.model, method: "grad-cam", image: picture?.blob, picture,
  params: { class_index: classIndex, layer, colormap: state.colormap, opacity: state.opacity, top: TOP, ...scaleOf(maximum) },
});

/** {result, shades, plain}: `plain` is the picture as the service reads it, where the browser cannot show it so. */
export async function answerTo(classIndex, layer, signal, maximum) {
  const key = JSON.stringify([picture.url, state.model, classIndex, layer, maximum]);
  if (!answers.has(key)) {
    const request = heatmapRequest(classIndex, layer, maximum);
    // Gray shades: the page colours them itself, at once, with the service's own tables.
    const result = await run({ ...request, params: { ...request.params, colormap: "gray", opacity: 0 } }, { signal });
    const urls = Object.fromEntries(result.images.map((image) => [image.name, `data:${image.media_type};base64,${image.data}`]));
    answers.set(key, { result: { ...result, images: [] }, shades: await readShades(urls.heatmap), plain: differs(result) && urls.overlay });
    if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  }
  return answers.get(key);
}

/** Whether the service drew the picture brighter than sixteen bits are: nobody said how many of them it uses. */
export const isBrightened = ({ provenance: { plan: { sample_range: range } } }) => range?.sure === "found" && range.bits < 16;

const differs = (result) => !picture.readable || isBrightened(result);

const scaleOf = (maximum) => (maximum ? { scale: "fixed", scale_max: maximum } : {});
