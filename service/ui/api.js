// Calls of the service. Answers are JSON; whatever goes wrong is a Problem with words for a person.

import { say } from "./announce.js";
import { t } from "./messages.js";
import { at } from "./place.js";
import { awaitSignIn, countSignIns } from "./session.js";

const MAX_RETRIES = 5;

/** An RFC 9457 problem: `detail`, `code`, `errors` [{pointer, detail}], `status`. */
export class Problem extends Error {
  constructor({ detail, title, code, errors = [], status = 0 }) {
    super(detail);
    Object.assign(this, { detail, title, code, errors, status });
  }
}

export const get = async (path, signal) => (await send(path, { signal })).json();
export const getBlob = async (path) => (await send(path, {})).blob();
export const remove = (path) => send(path, { method: "DELETE" });
export const postEmpty = async (path, signal) => (await send(path, { method: "POST", signal })).json();

/** A key for a session. The answer is a cookie, which the page does not see. */
export async function signIn(key) {
  const response = await reach(at("ui/session"),
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }) });
  if (!response.ok) throw await read(response);
}

/** Run a method: parameters and picture as a form. With `picture` the answer is a PNG, else JSON. */
export async function run(request, { signal, picture = false } = {}) {
  const headers = { Accept: picture ? "image/png" : "application/json" };
  if (request.asJob) headers.Prefer = "respond-async";
  const response = await send(at(route(request)), { method: "POST", body: form(request), headers, signal });
  return picture ? response.blob() : response.json();
}

export const route = ({ model, method }) => `v1/models/${encodeURIComponent(model)}/${method}`;

/** The parameters that were given; what is left blank stays at the service's default. */
export function given(params = {}) {
  const entries = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return Object.fromEntries(entries);
}

function form({ params, image, images = [] }) {
  const body = new FormData();
  for (const [name, value] of Object.entries(given(params))) body.append(name, String(value));
  if (image) body.append("image", image, "image");
  for (const item of images) body.append("images", item, item.name);
  return body;
}

async function send(path, options, retries = 0) {
  const before = countSignIns();
  const response = await reach(path, options);
  if (response.ok) return response;
  if (response.status === 401) {
    // It goes on when somebody has signed in again; that may have been while it was on its way.
    if (before === countSignIns()) await awaitSignIn(options.signal);
    return send(path, options, retries);
  }
  const wait = Number(response.headers.get("Retry-After"));
  if (wait > 0 && retries < MAX_RETRIES) {
    say(t("problem.busy", { seconds: wait }));
    await pause(wait * 1000, options.signal);
    return send(path, options, retries + 1);
  }
  throw await read(response);
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "", title: t("problem.unreachable"), detail: t("problem.unreachable_detail") });
  }
}

async function read(response) {
  try {
    return new Problem(await response.json());
  } catch {
    const detail = t("problem.unknown_detail", { status: response.status });
    return new Problem({ code: "", title: t("problem.unknown"), detail, status: response.status });
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
