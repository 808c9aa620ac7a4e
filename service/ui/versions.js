// Several versions of the model side by side, such as snapshots of its training; for a model that has several.

import { el } from "./elements.js";
import { t } from "./messages.js";

/** {node, offer, read}: `read()` gives what the service takes as `versions`, "" where one version is meant. */
export function makeVersions(chosen = "") {
  const input = el("input", { id: "versions-to-compare", type: "text", placeholder: t("versions.placeholder") });
  input.value = chosen;
  const hint = el("p", { class: "hint" });
  const node = el("div", { class: "row", hidden: true }, el("label", { for: input.id }, t("versions.label")), input, hint);
  return {
    node,
    /** Newest first, as the service lists them. */
    offer: (versions) => {
      node.hidden = versions.length < 2;
      hint.textContent = t("versions.hint", { versions: [...versions].reverse().join(", ") });
    },
    read: () => node.hidden ? "" : input.value.trim(),
  };
}
