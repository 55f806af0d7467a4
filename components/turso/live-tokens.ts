/** Whether tokens that state knows work on. */
import type { TursoTarget } from "../rotation/model";
import { type TursoApi, TursoError } from "./api";
import { askToken } from "./data";
import { proofPlace } from "./turso-canary.provider";

/** A token that another one replaced, and that may work on. */
export interface Replaced {
  jwt: string;
  expires: string;
}

interface Placed {
  target: TursoTarget;
  organization: string;
}

/** Without those that are refused by now: they are no debt. */
export async function stillWorking(
  list: Replaced[],
  url: string,
): Promise<{ replaced: Replaced[]; replacedExpire: string[] }> {
  const states = await Promise.all(list.map(({ jwt }) => askToken(url, jwt)));
  const replaced = list.filter((_, index) => states[index] !== "refused");
  return { replaced, replacedExpire: replaced.map(({ expires }) => expires) };
}

/** A group's token that is refused where it was proven may do elsewhere: that database may be gone. */
export async function stateOf(
  api: TursoApi,
  props: Placed & { url: string },
  jwt: string,
): ReturnType<typeof askToken> {
  const state = await askToken(props.url, jwt);
  if (state !== "refused" || props.target.kind === "database" || props.organization !== api.organization) return state;
  try {
    const { url } = await proofPlace(api, props.target);
    return url === props.url ? state : await askToken(url, jwt);
  } catch (error) {
    if (!(error instanceof TursoError)) throw error;
    // No such group, or none of its databases left: then it works nowhere. Anything else says nothing.
    return error.fault === "not-found" || error.fault === "rejected" ? state : { unknown: error.message };
  }
}

/** Whether its database or group is no more, and every token of it with it. */
export async function isGone(api: TursoApi, { target: { kind, name }, organization }: Placed): Promise<boolean> {
  if (organization !== api.organization) return false; // another organisation's names say nothing of this one's
  try {
    await (kind === "group" ? api.group(name) : api.database(name));
    return false;
  } catch (error) {
    return error instanceof TursoError && error.fault === "not-found";
  }
}
