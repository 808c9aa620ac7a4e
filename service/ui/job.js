// One job as it happens: progress, pictures as they are made, cancel, and what to take away when it is done.

import { get, postEmpty, remove } from "./api.js";
import { saveJson } from "./download.js";
import { el } from "./elements.js";
import { number, t } from "./messages.js";
import { figure, saveAll } from "./pictures.js";
import { at, resolve } from "./place.js";
import { guard, problemBox } from "./problem.js";
import { numbersOf } from "./result.js";
import { countSignIns } from "./session.js";

const POLL_MILLISECONDS = 1000;
const STATES = { queued: "job.queued", running: "job.running", succeeded: "job.succeeded", failed: "job.failed", cancelled: "job.cancelled" };
const watched = new WeakMap();
// Says the id of a job that is about to be deleted; who showed it puts down how to show it again.
const deletions = new EventTarget();

export const isFinal = ({ state }) => !["queued", "running"].includes(state);
export const stateName = (state) => t(STATES[state]);

/** Show a job at `place` and watch it until it has ended; whatever was watched there is watched no longer. */
export async function showJob(place, id, { label } = {}) {
  leaveJob(place);
  const controller = new AbortController();
  watched.set(place, controller);
  deletions.addEventListener(id, ({ detail: back }) => {
    leaveJob(place);
    place.replaceChildren();
    back.push(() => watched.has(place) || showJob(place, id, { label }));
  }, { signal: controller.signal });
  const panel = makePanel(id, label);
  place.replaceChildren(panel.node);
  const refresh = async () => {
    const job = await get(at(`v1/jobs/${id}`), controller.signal);
    panel.show(job);
    return job;
  };
  try {
    const job = await refresh();
    if (!isFinal(job)) follow(job, panel, refresh, controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) place.replaceChildren(problemBox(error));
  }
}

/** Stop watching what is shown at `place`. */
export function leaveJob(place) {
  watched.get(place)?.abort();
  watched.delete(place);
}

/** Delete a job. First it is left wherever it is shown: whoever asked for it now would hear that there is none. */
export async function deleteJob(job) {
  const back = [];
  deletions.dispatchEvent(new CustomEvent(job.id, { detail: back }));
  try {
    await remove(resolve(job.links.self));
  } catch (error) {
    if (![404, 410].includes(error.status)) back.forEach((show) => show());
    throw error;
  }
}

function follow(job, panel, refresh, signal) {
  const events = new EventSource(resolve(job.links.events));
  signal.addEventListener("abort", () => events.close());
  const end = () => {
    events.close();
    refresh().catch((error) => signal.aborted || panel.fail(error));
  };
  events.addEventListener("job", ({ data }) => {
    const news = JSON.parse(data);
    panel.update(news);
    if (isFinal(news)) end();
  });
  events.addEventListener("progress", ({ data }) => panel.progress(JSON.parse(data)));
  events.addEventListener("image", ({ data }) => panel.add(JSON.parse(data)));
  events.addEventListener("error", ({ data }) => {
    if (data) {
      events.close();
      panel.fail(JSON.parse(data));
    } else if (events.readyState === EventSource.CLOSED) poll(job, panel, refresh, signal);
    // Else the browser connects again by itself.
  });
}

/** For when no stream can be had: there are too many watchers, or a proxy is in the way. */
async function poll(job, panel, refresh, signal) {
  const before = countSignIns();
  try {
    while (!signal.aborted && !isFinal(await refresh())) {
      // Without a session there was no stream either.
      if (before !== countSignIns()) return follow(job, panel, refresh, signal);
      await new Promise((done) => { setTimeout(done, POLL_MILLISECONDS); });
    }
  } catch (error) {
    if (!signal.aborted) panel.fail(error);
  }
  return undefined;
}

function makePanel(id, label = (image) => image.name) {
  const bar = el("progress", { max: 1, "aria-label": t("job.progress") });
  const word = el("span", { class: "state" });
  const count = el("span", { class: "hint" });
  const cancel = el("button", { type: "button", class: "quiet", onclick: () => guard(trouble, () => postEmpty(at(`v1/jobs/${id}/cancel`))) }, t("job.cancel"));
  const trouble = el("div");
  const gallery = el("div", { class: "gallery" });
  const foot = el("div");
  let total;
  const node = el("div", { class: "job", role: "group", "aria-label": t("job.group") },
    el("div", { class: "row" }, word, bar, count, cancel), trouble, gallery, foot);
  const panel = { node, add, progress, update, show, fail: (error) => trouble.replaceChildren(problemBox(error)) };

  function add(image) {
    if (gallery.querySelector(`[data-name="${CSS.escape(image.name)}"]`)) return;
    const isGrid = image.name.startsWith("grid");
    // Of a single picture the grid says nothing more.
    if (isGrid && total === 1) return;
    const item = figure(image, isGrid ? image.name : label(image));
    const grid = gallery.querySelector('[data-name^="grid"]');
    // Finished jobs list it first, but what it is made of is seen before.
    if (isGrid) gallery.append(item);
    else gallery.insertBefore(item, grid);
  }

  /** What was made of all others comes first, as the result has it; but a grid stays behind what it is made of. */
  function arrange(images) {
    let next = gallery.querySelector('[data-name^="grid"]');
    for (const { name } of images.filter((image) => !image.name.startsWith("grid")).reverse()) {
      const item = gallery.querySelector(`[data-name="${CSS.escape(name)}"]`);
      if (item.nextElementSibling !== next) gallery.insertBefore(item, next);
      next = item;
    }
  }

  function progress({ done, total: all, unit, fraction }) {
    total = all;
    bar.value = fraction;
    count.textContent = t("job.count", { done: number(done), total: number(all), unit });
  }

  function update(job) {
    word.textContent = stateName(job.state);
    word.dataset.state = job.state;
    progress(job.progress);
    bar.hidden = cancel.hidden = isFinal(job);
    if (job.error) trouble.replaceChildren(problemBox({ title: t("job.failed"), ...job.error }));
  }

  function show(job) {
    update(job);
    const images = job.result?.images ?? job.images;
    images.forEach(add);
    if (job.result) arrange(images);
    if (isFinal(job)) foot.replaceChildren(...takeAway(job, images));
  }

  return panel;
}

function takeAway(job, images) {
  const name = `${job.model}-${job.method}-${job.id.slice(0, 8)}`;
  return [el("div", { class: "row" },
    images.length > 0 && el("button", { type: "button", class: "quiet", onclick: () => saveAll(images, job, name) }, t("result.zip")),
    el("button", { type: "button", class: "quiet", onclick: () => saveJson(job, `${name}.json`) }, t("result.json"))),
    ...(job.result ? [numbersOf(job.result)] : [])];
}
