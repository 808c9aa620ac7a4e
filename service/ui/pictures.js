// Pictures of a result, wherever they come from: inside the answer as base64, or at an address of a job.

import { getBlob } from "./api.js";
import { zip } from "./archive.js";
import { save } from "./download.js";
import { el } from "./elements.js";
import { t } from "./messages.js";
import { resolve } from "./place.js";

/** Base64 to a blob. */
export const toBlob = ({ data, media_type: type }) => new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type });

/** An address for `<img>`; that of a blob is freed by nobody, as pictures stay on screen. */
export function addressOf(image) {
  image.address ??= image.href ? resolve(image.href) : URL.createObjectURL(toBlob(image));
  return image.address;
}

/** The one picture with its name and a way to keep it. */
export function figure(image, label = image.name) {
  const file = `${image.name}.png`;
  const small = Math.max(image.width, image.height) < 512;
  const wide = image.width > 512 || image.width > 2 * image.height;
  return el("figure", { class: wide ? "picture wide" : "picture", "data-name": image.name },
    el("img", { src: addressOf(image), alt: label, width: image.width, height: image.height, loading: "lazy",
      class: small ? "pixels" : undefined, onerror: ({ target }) => mend(target, image) }),
    el("figcaption", {}, el("span", {}, image.name), " ",
      el("a", { href: addressOf(image), download: file, "aria-label": t("result.save_one", { name: image.name }) }, t("result.save"))));
}

/** Where the session was over, the picture comes when somebody has signed in again. */
async function mend(node, image) {
  if (!image.href || image.isMended) return;
  image.isMended = true;
  const blob = await getBlob(addressOf(image)).catch(() => undefined);
  if (blob) node.src = URL.createObjectURL(blob);
}

/** Everything in one ZIP: the pictures, and the answer without them as `result.json`. */
export async function saveAll(images, answer, name) {
  const files = await Promise.all(images.map(async (image) => {
    const blob = image.href ? await getBlob(addressOf(image)) : toBlob(image);
    return { name: `${image.name}.png`, data: new Uint8Array(await blob.arrayBuffer()) };
  }));
  const text = JSON.stringify(withoutData(answer), null, 2);
  save(zip([...files, { name: "result.json", data: new TextEncoder().encode(text) }]), `${name}.zip`);
}

/** The answer with pictures named but not contained. */
export function withoutData(answer) {
  return JSON.parse(JSON.stringify(answer, (key, value) => (["data", "address", "isMended"].includes(key) ? undefined : value)));
}
