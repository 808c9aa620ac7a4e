// Every method there is, with a form of its parameters; whatever the service adds appears here by itself.

import { get, run } from "./api.js";
import { codeButtons } from "./code.js";
import { el, find } from "./elements.js";
import { makeForm } from "./form.js";
import { leaveJob, showJob } from "./job.js";
import { layers } from "./layers.js";
import { learn } from "./members.js";
import { t } from "./messages.js";
import { picture } from "./photo.js";
import { at } from "./place.js";
import { isAborted, problemBox } from "./problem.js";
import { resultView } from "./result.js";
import { mayCompute } from "./session.js";
import { makeSource } from "./source.js";
import { state, update, watch } from "./state.js";
import { makeVersions } from "./versions.js";

let methods = [];
let datasets = [];
let known = { classes: [], availability: [], versions: [] };
let shown;

export async function prepareMethods() {
  [{ methods }, { datasets }] = await Promise.all([get(at("v1/methods")), get(at("v1/datasets"))]);
  learn(methods);
  // Whoever comes back from another view finds all as it was.
  watch(["method", "view"], () => shown?.name === nameOf(state.method) || show());
  // An answer of another model would mislead.
  watch(["model"], show);
  show();
}

const nameOf = (name) => (methods.find((item) => item.name === name) ?? methods[0]).name;

/** What is known of the model: its classes, and which methods work on it. The form and its answer stay as they are. */
export function setKnown(detail) {
  known = { classes: detail.classes ?? [], availability: detail.methods ?? [], versions: detail.versions ?? [] };
  shown?.apply();
}

function show() {
  if (state.view !== "methods" || methods.length === 0) {
    shown = undefined;
    return;
  }
  const method = methods.find((item) => item.name === nameOf(state.method));
  const select = el("select", { id: "method", onchange: () => update({ method: select.value, job: "" }, { push: true }) },
    methods.map((item) => el("option", { value: item.name }, item.title)));
  select.value = method.name;
  const kept = shown?.name === method.name ? shown : undefined;
  const form = makeForm(method.parameters, kept?.form.read());
  const source = makeSource(method, { datasets, model: state.model, chosen: kept?.source?.chosen() });
  const versions = makeVersions(kept?.versions.read());
  const answer = el("div", { class: "answer", "aria-live": "polite" });
  const refusal = el("div");
  const node = el("form", { class: "panel", "aria-label": method.title, onsubmit: (event) => {
    event.preventDefault();
    send(compose(method, { form, source, versions }, event.submitter?.value === "job"), form, answer);
  } }, uses(method) && el("p", { class: "hint" }, uses(method)), refusal, source?.node, versions.node,
    form.node, el("div", { class: "row" }, el("button", { class: "main", disabled: !mayCompute() }, t("methods.run")),
      method.kind !== "job" && el("button", { value: "job", disabled: !mayCompute() }, t("methods.run_job")),
      codeButtons(() => compose(method, { form, source, versions }, false))));
  find("#methods").replaceChildren(el("div", { class: "row" }, el("label", { for: "method" }, t("methods.method")), select), node, answer);
  const apply = () => {
    const own = known.availability.find((item) => item.name === method.name && !item.available);
    refusal.replaceChildren(...(own ? [problemBox({ title: t("methods.unavailable"), detail: own.reason })] : []));
    form.suggest(suggestions());
    versions.offer(known.versions);
  };
  shown = { name: method.name, form, source, versions, apply };
  apply();
  if (state.job && mayCompute()) resume(method, answer);
}

/** The request: a dataset always becomes a job, and so do several versions, whatever the method. */
function compose(method, { form, source, versions }, wantsJob) {
  const pictures = source?.read() ?? {};
  const isDataset = Boolean(pictures.dataset || pictures.images);
  const isJob = wantsJob || isDataset || versions.read() !== "" || method.kind === "job";
  const photo = method.consumes === "image" && !isDataset ? { image: picture?.blob, picture } : {};
  return { model: state.model, method: method.name, kind: method.kind, asJob: isJob,
    params: { ...form.read(), dataset: pictures.dataset, versions: versions.read() }, images: pictures.images, ...photo };
}

/** The job of the address is found again where its method is looked at. */
async function resume(method, answer) {
  const job = await get(at(`v1/jobs/${encodeURIComponent(state.job)}`)).catch(() => undefined);
  if (job?.method === method.name && answer.isConnected) showJob(answer, job.id);
}

async function send(request, form, answer) {
  leaveJob(answer);
  answer.replaceChildren(el("p", { class: "hint waiting" }, t("methods.computing")));
  form.refuse([]);
  try {
    const result = await run(request);
    update({ job: result.links ? result.id : "" });
    if (result.links) showJob(answer, result.id);
    else answer.replaceChildren(resultView(result));
  } catch (error) {
    if (isAborted(error)) return;
    const rest = form.refuse(error.errors ?? []);
    const shown = (error.errors ?? []).length > 0 && rest.length === 0;
    answer.replaceChildren(problemBox(shown ? { ...error, detail: t("methods.see_fields") } : error));
  }
}

const uses = ({ consumes, kind }) =>
  [consumes === "none" && t("methods.uses_none"), kind === "job" && t("methods.is_job")].filter(Boolean).join(" ");

function suggestions() {
  const paths = layers.map(({ path }) => [path, path]);
  return { layer: paths, class_index: known.classes.map((label, index) => [String(index), label]) };
}
