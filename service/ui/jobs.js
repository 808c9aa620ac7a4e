// All jobs of the service, newest first; one of them shown in full.

import { get, postEmpty } from "./api.js";
import { say } from "./announce.js";
import { el, find } from "./elements.js";
import { deleteJob, isFinal, leaveJob, showJob, stateName } from "./job.js";
import { moment, percent, t } from "./messages.js";
import { at, resolve } from "./place.js";
import { guard, problemBox } from "./problem.js";
import { mayCompute } from "./session.js";
import { state, update, watch } from "./state.js";

const REFRESH_MILLISECONDS = 2000;
const PAGE = 20;
let timer;
let count = PAGE;
let opened;

export function prepareJobs() {
  find("#jobs").append(el("h2", {}, t("jobs.heading")), el("div", { id: "jobs-problem" }), el("div", { id: "jobs-away" }), el("div", { id: "jobs-list" }), el("div", { id: "jobs-one" }));
  watch(["view", "job"], show);
  show();
}

async function show() {
  clearTimeout(timer);
  if (state.view !== "jobs" || !mayCompute()) {
    leaveJob(find("#jobs-one"));
    opened = undefined;
    return;
  }
  open();
  await list();
}

function open() {
  if (opened === state.job) return;
  opened = state.job;
  if (state.job) showJob(find("#jobs-one"), state.job);
  else {
    leaveJob(find("#jobs-one"));
    find("#jobs-one").replaceChildren();
  }
}

async function list() {
  clearTimeout(timer);
  try {
    const { jobs, next } = await get(at(`v1/jobs?limit=${count}`));
    draw(jobs, next);
    find("#jobs-away").replaceChildren();
    if (jobs.some((job) => !isFinal(job)) && state.view === "jobs") timer = setTimeout(list, REFRESH_MILLISECONDS);
    return jobs;
  } catch (error) {
    find("#jobs-away").replaceChildren(problemBox(error, list));
    return undefined;
  }
}

function draw(jobs, next) {
  const place = find("#jobs-list");
  // A list that is drawn anew must not take the focus away.
  const focus = document.activeElement?.dataset.key;
  if (jobs.length === 0) {
    place.replaceChildren(el("p", { class: "panel" }, t("jobs.none")));
    return;
  }
  place.replaceChildren(el("ul", { class: "jobs", "aria-label": t("jobs.list") }, jobs.map(row)),
    ...(next ? [el("button", { type: "button", class: "quiet", onclick: () => { count = Math.min(200, count + PAGE); list(); } }, t("jobs.more"))] : []));
  if (focus) place.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
}

function row(job) {
  const act = (name, text, action) => el("button", { type: "button", class: "quiet", "data-key": `${name} ${job.id}`,
    "aria-label": `${text}: ${job.method}, ${moment(job.created_at)}`, onclick: action }, text);
  const asked = Object.entries(job.params).filter(([name, value]) => ["layer", "filters", "class_index", "channels"].includes(name) && value !== null);
  return el("li", { "aria-current": job.id === state.job ? "true" : undefined },
    el("span", { class: "state", "data-state": job.state }, isFinal(job) ? stateName(job.state) : `${stateName(job.state)} ${percent(job.progress.fraction)}`),
    el("span", { class: "what" }, el("b", {}, job.method), ` ${job.model} `, el("span", { class: "hint" },
      [job.owner, ...asked.map(([name, value]) => `${name} ${value}`)].filter(Boolean).join(", "), " ", moment(job.created_at))),
    el("span", { class: "row" }, act("show", t("jobs.show"), () => update({ job: job.id }, { push: true })),
      !isFinal(job) && act("cancel", t("job.cancel"), () => change(() => postEmpty(resolve(job.links.cancel)), () => t("jobs.cancelled"))),
      act("delete", t("jobs.delete"), () => forget(job))));
}

async function forget(job) {
  // Equal requests share a job: it stays listed until each of them has deleted it.
  const news = (jobs) => t(jobs?.some(({ id }) => id === job.id) ? "jobs.shared" : "jobs.deleted");
  const done = await change(() => deleteJob(job), news);
  if (done && state.job === job.id) update({ job: "" });
}

async function change(action, news) {
  const done = await guard(find("#jobs-problem"), async () => { await action(); return true; });
  const jobs = await list();
  if (done) say(news(jobs));
  return done;
}
