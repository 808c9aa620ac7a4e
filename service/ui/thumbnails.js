// Small pictures in the strip: the first four channels of each layer that is in sight. Decoration: without them the
// blocks stay plain.

import { run } from "./api.js";
import { find } from "./elements.js";
import { isSpatial, layers } from "./layers.js";
import { picture } from "./photo.js";
import { addressOf } from "./pictures.js";
import { state } from "./state.js";

const CHANNELS = 4;
const AT_ONCE = 12;
let controller;
let observer;

/** Begin anew, for a new picture or model. */
export function showThumbnails() {
  controller?.abort();
  observer?.disconnect();
  controller = new AbortController();
  const { signal } = controller;
  const wanted = new Set();
  let busy = false;

  async function work() {
    if (busy || wanted.size === 0 || signal.aborted) return;
    busy = true;
    const paths = [...wanted].slice(0, AT_ONCE);
    paths.forEach((path) => wanted.delete(path));
    try {
      await draw(paths, signal);
    } catch {
      return;
    }
    busy = false;
    work();
  }

  observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && canDraw(target.dataset.path)) wanted.add(target.dataset.path);
      if (isIntersecting) observer.unobserve(target);
    }
    work();
  }, { root: find(".strip") });
  for (const option of find(".strip").children) observer.observe(option);
  for (const block of document.querySelectorAll(".strip .input .block")) show(block, picture.url);
}

function canDraw(path) {
  const layer = layers.find((item) => item.path === path);
  return layer && isSpatial(layer) && layer.output_shape[3] >= CHANNELS;
}

async function draw(paths, signal) {
  const params = { layers: paths.join(","), channels: `0-${CHANNELS - 1}`, columns: 2 };
  const { images } = await run({ model: state.model, method: "activations", image: picture.blob, params }, { signal });
  for (const image of images) {
    const block = find(`.strip [data-path="${CSS.escape(image.layer)}"] .block`);
    if (block) show(block, addressOf(image));
  }
}

const show = (block, address) => block.style.setProperty("background-image", `url("${address}")`);
