// Signing in and out. What is on the page stays while it waits for a key; for somebody else it begins anew.

import { say } from "./announce.js";
import { get, remove, signIn } from "./api.js";
import { find } from "./elements.js";
import { t } from "./messages.js";
import { at } from "./place.js";
import { awaitSignIn, current, mayCompute, onAwaited, setSession } from "./session.js";

const SESSION = at("ui/session");
let before;

/** Resolves when the page may ask: at once where no keys are asked for, or somebody is signed in. */
export async function prepareSession() {
  find("#sign-in form").addEventListener("submit", enter);
  find("#sign-out").addEventListener("click", leave);
  onAwaited(show);
  setSession(await get(SESSION));
  showAccount();
  if (current().keys && !current().owner) {
    document.body.classList.add("signed-out");
    await awaitSignIn();
    document.body.classList.remove("signed-out");
  }
}

function showAccount() {
  const { owner, role } = current();
  find("#account").hidden = !owner;
  find("#who").textContent = t("session.who", { owner, role });
  find("#role-note").hidden = mayCompute();
  document.body.classList.toggle("looks-only", !mayCompute());
}

function show({ isAgain }) {
  before = document.activeElement;
  find("#sign-in").hidden = false;
  find("#sign-in-why").textContent = t(isAgain ? "session.over" : "session.why");
  find("#key-error").textContent = "";
  find("#sign-in").scrollIntoView({ block: "nearest" });
  // Nobody's typing goes on in another field.
  if (!before?.matches("input, textarea, select")) find("#key").focus({ preventScroll: true });
}

async function enter(event) {
  event.preventDefault();
  const field = find("#key");
  const button = find("#sign-in button");
  button.disabled = true;
  try {
    await signIn(field.value.trim());
    accept(await get(SESSION));
    field.value = "";
  } catch (error) {
    find("#key-error").textContent = error.code === "key_invalid" ? t("session.invalid") : error.detail ?? String(error);
    field.setAttribute("aria-invalid", "true");
    field.select();
  }
  button.disabled = false;
}

function accept(session) {
  if (!session.owner) throw new Error(t("session.no_cookie"));
  const { owner, role } = current();
  if (owner && (owner !== session.owner || role !== session.role)) {
    // What one person has looked at is not shown to another, and what one has asked for not asked by the other.
    location.reload();
    return;
  }
  find("#sign-in").hidden = true;
  find("#key").removeAttribute("aria-invalid");
  setSession(session);
  showAccount();
  if (before?.isConnected) before.focus();
}

async function leave() {
  try {
    await remove(SESSION);
    location.reload();
  } catch (error) {
    say(error.detail ?? String(error));
  }
}
