// What a method looks at: the photo above, a dataset that the service has by name, or files of the reader's own.

import { el } from "./elements.js";
import { t } from "./messages.js";

const PHOTO = "photo";
const FILES = "files";
const DATASET = "dataset ";

/**
 * {node, read, chosen} for a method that looks at pictures; undefined for another. `read()` gives {dataset} or {images}, or
 * nothing where the photo is looked at; `chosen()` what the reader chose, to be handed to the next one as `chosen`.
 */
export function makeSource({ consumes }, { datasets, model, chosen }) {
  if (!["image", "images"].includes(consumes)) return undefined;
  const pairs = [...(consumes === "image" ? [[PHOTO, t("source.photo")]] : []),
    ...datasets.map((name) => [DATASET + name, t("source.dataset", { name })]), [FILES, t("source.files")]];
  const select = el("select", { id: "source-of-pictures", onchange: () => { touched = true; apply(); } },
    pairs.map(([value, text]) => el("option", { value }, text)));
  const files = el("input", { type: "file", multiple: true, accept: "image/*,.zip", "aria-label": t("source.choose") });
  const hint = el("p", { class: "hint" }, t("source.hint"));
  let touched = pairs.some(([value]) => value === chosen?.value);
  const own = pairs.some(([value]) => value === DATASET + model) ? DATASET + model : pairs[0][0];
  select.value = touched ? chosen.value : consumes === "image" ? PHOTO : own;
  if (touched && chosen.files?.length) files.files = chosen.files;
  const apply = () => {
    files.hidden = select.value !== FILES;
    // Without files there is nothing to send; the browser says so at the field.
    files.required = !files.hidden;
    hint.hidden = consumes === "images" || select.value === PHOTO;
  };
  apply();
  return {
    node: el("div", { class: "row" }, el("label", { for: select.id }, t("source.label")), select, files, hint),
    read: () => select.value === FILES ? { images: [...files.files] }
      : select.value === PHOTO ? {} : { dataset: select.value.slice(DATASET.length) },
    chosen: () => touched ? { value: select.value, files: files.files } : undefined,
  };
}
