// Who is signed in, where the service asks for keys. Nothing of a key is kept here: the browser has the service's cookie.

let session = { keys: false, owner: null, role: "admin" };
let signIns = 0;
let awaited;
const listeners = [];

export const asksForKeys = () => session.keys;
export const current = () => session;
export const mayCompute = () => session.role !== "read";
export const mayLoad = () => session.role === "admin";
export const countSignIns = () => signIns;

/** Called when somebody has to sign in; with `isAgain` where somebody was signed in before. */
export const onAwaited = (listener) => listeners.push(listener);

/** Resolves when somebody has signed in. */
export function awaitSignIn(signal) {
  if (!awaited) {
    awaited = Promise.withResolvers();
    for (const listener of listeners) listener({ isAgain: Boolean(session.owner) });
  }
  return Promise.race([awaited.promise, untilAborted(signal)]);
}

export function setSession(next) {
  session = next;
  if (session.keys && !session.owner) return;
  signIns += 1;
  awaited?.resolve();
  awaited = undefined;
}

const untilAborted = (signal) => new Promise((_, reject) => {
  signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
});
