// A problem in words, where it belongs: what happened, what to do, and a link to the page of its code.

import { el } from "./elements.js";
import { t } from "./messages.js";
import { at } from "./place.js";

export function problemBox(problem, retry) {
  if (!problem.detail) console.error(problem);
  return el("div", { class: "problem", role: "alert" },
    el("strong", {}, problem.title ?? t("problem.unknown")),
    el("p", {}, problem.detail ?? String(problem)),
    problem.code && el("a", { href: at(`problems/${problem.code}`) }, problem.code),
    retry && el("button", { type: "button", class: "quiet", onclick: retry }, t("problem.retry")));
}

/** True for a request that was given up because something newer was asked. */
export const isAborted = (error) => error?.name === "AbortError";

/** Run what a person asked for; a problem is shown at `place`, where the last one is taken away. */
export async function guard(place, action) {
  place.replaceChildren();
  try {
    return await action();
  } catch (error) {
    if (!isAborted(error)) place.replaceChildren(problemBox(error));
    return undefined;
  }
}
