// The request behind what is on screen, as a command to run: curl, or Python with nothing but its standard library.

import { say } from "./announce.js";
import { given, route } from "./api.js";
import { el } from "./elements.js";
import { t } from "./messages.js";
import { SERVICE } from "./place.js";
import { asksForKeys } from "./session.js";

/** Two buttons that copy what `request()` gives when they are pressed. */
export function codeButtons(request) {
  return el("span", { class: "row code" },
    el("button", { type: "button", class: "quiet", onclick: () => copy(asCurl(request())) }, t("share.curl")),
    el("button", { type: "button", class: "quiet", onclick: () => copy(asPython(request())) }, t("share.python")));
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(t("share.copied"));
  } catch {
    // Without a secure context there is no clipboard: the text is shown, selected, instead.
    const area = el("textarea", { readonly: true, rows: 12, "aria-label": t("share.text") });
    area.value = text;
    const dialog = el("dialog", { onclose: () => dialog.remove() }, area,
      el("form", { method: "dialog" }, el("button", {}, t("share.close"))));
    document.body.append(dialog);
    dialog.showModal();
    area.select();
  }
}

export function asCurl(request) {
  const lines = fetchScene(request, (file, url) => `curl -s ${quote(url)} -o ${quote(file)}\n`);
  const fields = Object.entries(given(request.params)).map(([name, value]) => `-F ${quote(`${name}=${value}`)}`);
  if (request.image) fields.unshift(`-F ${quote(`image=@${fileOf(request)}`)}`);
  for (const { name } of request.images ?? []) fields.push(`-F ${quote(`images=@${name}`)}`);
  if (fields.length === 0) fields.push("-X POST");
  if (asksForKeys()) fields.unshift('-H "Authorization: Bearer $CONVSCOPE_KEY"');
  if (request.kind === "job" || request.asJob) fields.push("-H 'Prefer: respond-async'");
  return `${lines}curl -s ${fields.join(" ")} \\\n  ${quote(`${SERVICE}/${route(request)}`)}\n`;
}

export function asPython(request) {
  const isJob = request.kind === "job" || request.asJob;
  const download = fetchScene(request, (file, url) => `urllib.request.urlretrieve(${py(url)}, ${py(file)})\n`);
  const image = request.image
    ? `params["image"] = base64.b64encode(open(${py(fileOf(request))}, "rb").read()).decode()\n` : "";
  const names = (request.images ?? []).map(({ name }) => py(name)).join(", ");
  const images = names
    ? `params["images"] = [base64.b64encode(open(name, "rb").read()).decode() for name in [${names}]]\n` : "";
  const pairs = Object.entries(given(request.params)).map(([name, value]) => `${py(name)}: ${py(value)}`);
  const key = asksForKeys() ? 'KEY = {"Authorization": "Bearer " + os.environ["CONVSCOPE_KEY"]}\n' : "";
  return `import base64\nimport json\n${key && "import os\n"}import time\nimport urllib.request\n\nSERVICE = ${py(SERVICE)}\n${key}${download}` +
    `params = {${pairs.join(", ")}}\n${image}${images}` +
    `headers = {"Content-Type": "application/json"${isJob ? ', "Prefer": "respond-async"' : ""}${key && ", **KEY"}}\n` +
    `request = urllib.request.Request(SERVICE + ${py(`/${route(request)}`)}, json.dumps(params).encode(), headers)\n` +
    `answer = json.load(urllib.request.urlopen(request))\n${isJob ? pythonJob(key) : PYTHON_RESULT}`;
}

const PYTHON_RESULT = `for image in answer["images"]:
    open(image["name"] + ".png", "wb").write(base64.b64decode(image["data"]))
print(answer["predictions"] or answer["values"])
`;

const pythonJob = (key) => `${key ? PYTHON_FETCH : "fetch = urllib.request.urlopen\n"}while answer["state"] in ("queued", "running"):
    time.sleep(1)
    answer = json.load(fetch(f"{SERVICE}/v1/jobs/{answer['id']}"))
print(answer["state"], answer["error"] or "")
for image in (answer["result"] or answer)["images"]:
    picture = f"{SERVICE}/v1/jobs/{answer['id']}/images/{image['name']}"
    open(image["name"] + ".png", "wb").write(fetch(picture).read())
`;

const PYTHON_FETCH = `def fetch(url):
    return urllib.request.urlopen(urllib.request.Request(url, headers=KEY))

`;

const fileOf = ({ picture }) => picture?.name ?? "photo.png";

function fetchScene({ image, picture }, write) {
  return image && picture?.sceneUrl ? write(picture.name, location.origin + picture.sceneUrl) : "";
}

const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

function py(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "number" ? String(value) : JSON.stringify(String(value));
}
