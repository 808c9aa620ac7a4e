// What excites filters most: a job, sent here and shown where it belongs, also after a reload.

import { get, run } from "./api.js";
import { el } from "./elements.js";
import { t } from "./messages.js";
import { leaveJob, showJob } from "./job.js";
import { at } from "./place.js";
import { guard } from "./problem.js";
import { mayCompute } from "./session.js";
import { state, update } from "./state.js";

const METHOD = "filter-patterns";

/** A place for patterns of one layer's filters; `filters()` is the selection that its button asks for. */
export function patternPlace(text, { main = false } = {}) {
  const node = el("div", { class: "patterns" });
  const button = el("button", { type: "button", class: main ? "main" : "quiet", onclick: draw }, text);
  let layer;
  let filters;

  async function draw() {
    const asked = filters();
    button.disabled = true;
    const job = await guard(node, () => run({ model: state.model, method: METHOD, params: { layer, filters: asked } }));
    button.disabled = false;
    if (!job) return;
    update({ job: job.id, layer });
    show(job.id);
  }

  const show = (id) => showJob(node, id, { label: ({ name }) => t("channel.pattern", { channel: name.replace(/^filter-/, "") }) });

  /** Belong to other filters from now on; a job of theirs that the address names is found again. */
  async function belong(path, ask) {
    const [before, after] = [`${layer} ${filters?.()}`, `${path} ${ask()}`];
    [layer, filters] = [path, ask];
    if (before === after && node.childElementCount > 0) return;
    leaveJob(node);
    node.replaceChildren();
    if (!state.job || !mayCompute()) return;
    // A job that has gone is no problem here: the button makes it anew.
    const job = await get(at(`v1/jobs/${encodeURIComponent(state.job)}`)).catch(() => undefined);
    const isOurs = job?.method === METHOD && job.model === state.model && job.params.layer === path;
    if (isOurs && String(job.params.filters) === ask()) show(job.id);
  }

  return { node, button, belong };
}
