/** cloudflare.Ruleset of a zone. Its rules are read back, so that a change by hand is seen by a refresh. */
import type { ResourceType } from "../resource";
import type { Properties } from "../wire";
import { type Connection, fromApi, NotFound, toApi } from "./connection";

interface Ruleset {
  id: string;
  zoneId: string;
  name: string;
  kind: string;
  phase: string;
  rules?: Record<string, unknown>[];
}

/** What the API adds to a rule; no input gives it. */
const OF_THE_API = ["id", "version", "lastUpdated"];

export function rulesetType(connection: Connection): ResourceType {
  const pathOf = (values: Properties, id = ""): string =>
    `/zones/${rulesetOf(values).zoneId}/rulesets${id === "" ? "" : `/${id}`}`;
  return {
    token: "cloudflare:index/ruleset:Ruleset",
    rules: {
      kind: { kind: "string", required: true, replace: true },
      name: { kind: "string", required: true },
      phase: { kind: "string", required: true, replace: true },
      rules: { kind: "list" },
      zoneId: { kind: "string", required: true, replace: true },
    },
    generated: ["lastUpdated", "version"],
    secrets: [],
    async create(planned) {
      const { name, kind, phase, rules = [] } = rulesetOf(planned);
      const made = await connection.call("POST", pathOf(planned), { name, kind, phase, rules: toApi(rules) });
      return { id: String(made["id"]), outputs: outputsOf(made, planned) };
    },
    async update(olds, planned) {
      const { name, kind, phase, rules = [] } = rulesetOf(planned);
      const body = { name, kind, phase, rules: toApi(rules) };
      return outputsOf(await connection.call("PUT", pathOf(olds, rulesetOf(olds).id), body), planned);
    },
    async delete(olds) {
      try {
        await connection.call("DELETE", pathOf(olds, rulesetOf(olds).id));
      } catch (error) {
        if (!(error instanceof NotFound)) throw error;
      }
    },
    async read(id, olds) {
      try {
        return outputsOf(await connection.call("GET", pathOf(olds, id)), olds);
      } catch (error) {
        if (error instanceof NotFound) return undefined;
        throw error;
      }
    },
  };
}

function outputsOf(answer: Properties, planned: Properties): Properties {
  const { id, name, kind, phase, version, rules, lastUpdated } = fromApi(answer) as Properties & Ruleset;
  const given = (rules ?? []).map((rule) =>
    Object.fromEntries(Object.entries(rule).filter(([field]) => !OF_THE_API.includes(field))),
  );
  return { id, name, kind, phase, version, lastUpdated, zoneId: planned["zoneId"], rules: given };
}

function rulesetOf(values: Properties): Ruleset {
  return values as unknown as Ruleset;
}
