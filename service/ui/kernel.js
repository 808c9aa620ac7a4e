// The kernel of one filter as pictures.

import { el } from "./elements.js";
import { t } from "./messages.js";
import { addressOf } from "./pictures.js";

/** The kernel of one filter: in colour where it sees a photo, and a tile per input channel. */
export async function drawKernel(channel, { images, values }) {
  const drawn = images.map((image, index) => {
    const label = t(index ? "channel.kernel_inputs" : "channel.kernel", { channel });
    const isRow = image.width > 2 * image.height;
    return isRow ? wrap(image, values.channels.length, label)
      : el("img", { class: "pixels kernel", src: addressOf(image), alt: label, width: image.width, height: image.height });
  });
  return [el("h3", {}, t("channel.kernel_heading")), ...await Promise.all(drawn)];
}

/** A row of tiles, one per input channel, as a block that can be read. */
async function wrap(image, count, label) {
  const row = new Image();
  row.src = addressOf(image);
  await row.decode();
  const [width, height] = [image.width / count, image.height];
  const columns = count < 5 ? count : Math.ceil(Math.sqrt(count));
  const gap = Math.ceil(width / 12);
  const canvas = el("canvas", { class: "pixels kernel", role: "img", "aria-label": label });
  canvas.width = columns * (width + gap) - gap;
  canvas.height = Math.ceil(count / columns) * (height + gap) - gap;
  const context = canvas.getContext("2d");
  for (let i = 0; i < count; i += 1) {
    context.drawImage(row, i * width, 0, width, height, (i % columns) * (width + gap), Math.floor(i / columns) * (height + gap), width, height);
  }
  return canvas;
}
