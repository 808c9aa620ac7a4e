// A form from a JSON Schema: enums, bounded numbers, booleans, lists, what may be null; any method's parameters.

import { el, withCode } from "./elements.js";
import { t } from "./messages.js";

/** {node, suggest, read, refuse}: `values` are filled in. */
export function makeForm(schema, values = {}) {
  const fields = Object.entries(schema.properties ?? {}).map(([name, raw]) =>
    makeField(name, settle(raw, schema.$defs ?? {}), (schema.required ?? []).includes(name)));
  for (const field of fields) if (field.name in values) field.write(values[field.name]);
  return {
    /** By parameter, [[value, text]] to choose from; what was typed stays. */
    suggest: (suggestions) => fields.forEach((field) => field.suggest(suggestions[field.name] ?? [])),
    node: el("div", { class: "fields" }, fields.map((field) => field.node)),
    /** What differs from the defaults. */
    read: () => Object.fromEntries(fields.map((field) => [field.name, field.read()]).filter(([, value]) => value !== undefined)),
    /** Show the problem's errors at their fields; returns those that belong to none. */
    refuse: (errors) => {
      fields.forEach((field) => field.refuse(""));
      return errors.filter(({ pointer, detail }) => {
        const field = fields.find(({ name }) => pointer.replace(/^#\//, "").split("/")[0] === name);
        field?.refuse(detail);
        return !field;
      });
    },
  };
}

/** One plain schema of what may be a reference, or one of several; `nullable` tells whether null is among them. */
function settle(raw, definitions) {
  const own = raw.$ref ? { ...definitions[raw.$ref.split("/").pop()], ...raw } : raw;
  const all = own.anyOf ?? own.oneOf ?? own.allOf;
  if (!all) {
    const types = [own.type].flat();
    return { ...own, type: types.find((type) => type !== "null"), nullable: types.includes("null") };
  }
  const variants = all.map((item) => settle(item, definitions));
  const real = variants.filter((item) => item.type !== undefined || item.enum || item.const !== undefined);
  // Text can say whatever the others can.
  const best = real.find((item) => item.type === "string") ?? real[0] ?? {};
  const { anyOf, oneOf, allOf, $ref, ...rest } = own;
  return { ...best, ...rest, nullable: real.length < variants.length || variants.some((item) => item.nullable) };
}

function makeField(name, schema, required) {
  const id = `field-${name}`;
  const fallback = schema.default ?? "";
  const input = makeInput(schema, { id, name, required, "aria-describedby": `${id}-hint ${id}-error` });
  const error = el("p", { class: "error", id: `${id}-error` });
  const write = (value) => {
    if (input.type === "checkbox") input.checked = value === true;
    else input.value = [value].flat().join(",");
  };
  write(fallback);
  const list = input.tagName === "INPUT" && el("datalist", { id: `${id}-list` });
  return {
    name,
    write,
    node: el("div", { class: "field" }, el("label", { for: id }, name), input, list,
      el("p", { class: "hint", id: `${id}-hint`, lang: "en" }, withCode(schema.description ?? "")), error),
    suggest: (pairs) => {
      if (!list || pairs.length === 0) return;
      list.replaceChildren(...pairs.map(([value, text]) => el("option", { value }, text === value ? "" : text)));
      input.setAttribute("list", list.id);
    },
    read: () => {
      const value = input.type === "checkbox" ? input.checked : input.value.trim();
      if (value === "" || String(value) === String(fallback)) return undefined;
      return ["integer", "number"].includes(schema.type) ? Number(value) : value;
    },
    refuse: (detail) => {
      error.textContent = detail;
      input.setAttribute("aria-invalid", String(detail !== ""));
      if (detail) input.focus();
    },
  };
}

function makeInput(schema, attributes) {
  const options = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (options) return choice(options.map((value) => [value, value]), schema.nullable, attributes);
  if (schema.type === "boolean" && !schema.nullable) return el("input", { type: "checkbox", ...attributes });
  if (schema.type === "boolean") return choice([["true", t("form.yes")], ["false", t("form.no")]], true, attributes);
  const placeholder = schema.nullable ? t("form.default") : schema.examples?.[0];
  if (["integer", "number"].includes(schema.type)) return el("input", { type: "number", placeholder, ...bounds(schema), ...attributes });
  if (schema.type === "array") return el("input", { type: "text", placeholder: t("form.list"), ...attributes });
  return el("input", { type: "text", placeholder, maxlength: schema.maxLength, pattern: schema.pattern, ...attributes });
}

const choice = (pairs, nullable, attributes) => el("select", attributes,
  nullable && el("option", { value: "" }, t("form.default")), pairs.map(([value, text]) => el("option", { value }, String(text))));

/** Numbers next to an exclusive bound are left to the service, which says so. */
function bounds({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }) {
  const whole = type === "integer";
  return {
    min: minimum ?? (exclusiveMinimum === undefined ? undefined : exclusiveMinimum + (whole ? 1 : 0)),
    max: maximum ?? (exclusiveMaximum === undefined ? undefined : exclusiveMaximum - (whole ? 1 : 0)),
    step: multipleOf ?? (whole ? 1 : "any"),
  };
}
