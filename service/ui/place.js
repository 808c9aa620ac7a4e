// Where the service is: beside its page's files, below whatever path a proxy shows it.

const ROOT = new URL("..", import.meta.url);

/** The address of a route: `at("v1/models")`. */
export const at = (route) => ROOT.pathname + route;

/** That of a link the service wrote, also where its proxy has not told it below which path it is seen. */
export const resolve = (link) => at(link.slice(link.lastIndexOf("/v1/") + 1));

/** For programs elsewhere. */
export const SERVICE = ROOT.href.replace(/\/$/, "");
