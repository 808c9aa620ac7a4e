// The picture that is looked into: dropped, pasted, chosen, or one of the built-in scenes.

import { say } from "./announce.js";
import { el, find, rove, setStop } from "./elements.js";
import { t } from "./messages.js";
import { at } from "./place.js";
import { state, update, watch } from "./state.js";

// Larger photos are made smaller before they are sent: the network sees far fewer pixels than this.
const MAX_SIDE = 1024;
const listeners = [];
let original;
let loads = 0;

/** {blob, url, name, width, height, sceneUrl}; undefined before the first. */
export let picture;

export const onPicture = (listener) => listeners.push(listener);

/** Draw the ways to choose a picture, and load the scene that the address names, else the first. */
export function showPhotoChoice(scenes) {
  const file = el("input", { type: "file", accept: "image/*", id: "file", class: "unseen", "aria-label": t("photo.file"),
    onchange: () => file.files[0] && takeFile(file.files[0]) });
  const choose = el("label", { class: "drop", for: "file" }, el("b", {}, t("photo.choose")), el("span", {}, t("photo.drop")));
  const strip = el("div", { class: "scenes", role: "group", "aria-label": t("photo.scenes") }, scenes.map(sceneButton));
  find("#photo").append(file, choose, strip, el("p", { id: "photo-note", class: "hint" }));
  rove(strip, "button");
  takeFromWindow();
  watch(["scene"], () => state.scene && takeScene(state.scene));
  return takeScene(scenes.includes(state.scene) ? state.scene : scenes[0]);
}

function sceneButton(name) {
  const label = name === "mistaken" ? t("photo.mistaken") : t("photo.scene", { name });
  return el("button", { type: "button", "data-scene": name, "aria-label": label, title: label,
    onclick: () => update({ scene: name, class: "", class2: "" }, { push: true }) },
    el("img", { src: sceneUrl(name), alt: "", width: 64, height: 64 }));
}

const sceneUrl = (name) => at(`ui/scenes/${encodeURIComponent(name)}.png`);

async function takeScene(name) {
  if (picture?.sceneUrl === sceneUrl(name)) return;
  const load = (loads += 1);
  const response = await fetch(sceneUrl(name));
  const blob = await response.blob();
  if (load !== loads || !response.ok) return;
  original = undefined;
  await setPicture(blob, { name: `${name}.png`, sceneUrl: sceneUrl(name) });
  update({ scene: name });
}

async function takeFile(file) {
  loads += 1;
  original = file;
  update({ scene: "", class: "", class2: "", job: "" });
  await setPicture(await shrink(file), { name: file.name || "photo.png" });
  say(t("photo.taken", { name: picture.name }));
}

async function setPicture(blob, { name, sceneUrl: link }) {
  const before = picture?.url;
  const size = await measure(blob);
  picture = { blob, name, sceneUrl: link, url: URL.createObjectURL(blob), ...size };
  for (const button of document.querySelectorAll("[data-scene]")) {
    button.setAttribute("aria-pressed", String(link === sceneUrl(button.dataset.scene)));
  }
  setStop([...document.querySelectorAll("[data-scene]")], find('[data-scene][aria-pressed="true"]'));
  note();
  for (const listener of listeners) listener(picture);
  if (before) setTimeout(() => URL.revokeObjectURL(before), 10_000);
}

/** Say how the photo was changed, and offer to send it as it is. */
function note() {
  const place = find("#photo-note");
  place.replaceChildren();
  if (!original) return;
  place.append(picture.readable ? `${picture.name}, ${picture.width} × ${picture.height}. ` : picture.name);
  if (picture.blob === original) return;
  place.append(t("photo.shrunk"), " ", el("button", { type: "button", class: "quiet",
    onclick: () => setPicture(original, { name: picture.name }) }, t("photo.original")));
}

async function shrink(file) {
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  const side = bitmap ? Math.max(bitmap.width, bitmap.height) : 0;
  // What the browser cannot read, the service may, or will say why not; of sixteen bits a canvas keeps the upper eight.
  if (side <= MAX_SIDE || (await hasSixteenBits(file))) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round((bitmap.width * MAX_SIDE) / side);
  canvas.height = Math.round((bitmap.height * MAX_SIDE) / side);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.95); });
}

/** A PNG's header says so. */
async function hasSixteenBits(file) {
  const header = new Uint8Array(await file.slice(0, 26).arrayBuffer());
  return String.fromCharCode(...header.slice(1, 4)) === "PNG" && header[24] === 16;
}

async function measure(blob) {
  const bitmap = await createImageBitmap(blob).catch(() => undefined);
  return { width: bitmap?.width, height: bitmap?.height, readable: Boolean(bitmap) };
}

function takeFromWindow() {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    takeFirst(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => takeFirst(event.clipboardData.files));
}

function takeFirst(files) {
  if (files.length > 0) takeFile(files[0]);
}
