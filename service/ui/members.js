// What the members of a method's numbers mean, in the service's own words.

const schemas = new Map();

/** Keep what `/v1/methods` says. */
export const learn = (methods) => methods.forEach(({ name, values }) => schemas.set(name, values));

/** [[member, description]] of the members that are in `values`, in their order; nothing for a method that is not known. */
export function explain(method, values) {
  const root = schemas.get(method) ?? {};
  const models = (root.anyOf ?? [root]).map((one) => (one.$ref ? root.$defs[one.$ref.split("/").pop()] : one));
  // The one that knows most of what is there.
  const fitting = (model) => Object.keys(values).filter((name) => model.properties?.[name]).length;
  const { properties = {} } = models.reduce((best, model) => (fitting(model) > fitting(best) ? model : best));
  return Object.keys(values).filter((name) => properties[name]?.description).map((name) => [name, properties[name].description]);
}
