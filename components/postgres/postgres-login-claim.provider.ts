import type * as pulumi from "@pulumi/pulumi";
import { sameInputs } from "../thin.provider";
import { type Admin, retire } from "./retire";

export interface Inputs {
  login: string;
  /** Where it would be: `host:port`. */
  server: string;
  owner: string;
  database: string;
  /** The URN of the login resource that this claim is for. */
  madeBy: string;
  credential: string;
  quietMs: number;
}

/** CRUD of a claim; see components/postgres/postgres-login-claim.ts. */
export function postgresLoginClaim(admin: Admin): pulumi.dynamic.ResourceProvider<Inputs, Inputs> {
  return {
    // Never replaced: the delete of what was replaced would sweep the login that lives on.
    diff: (_id, olds, news) => Promise.resolve({ changes: !sameInputs(olds, news) }),
    create: (news) => Promise.resolve({ id: news.login, outs: news }),
    update: (_id, _olds, news) => Promise.resolve({ outs: news }),
    // Its login's resource is gone by now, and with it the login: what is still there was left by a crash.
    delete: async (_id, props) => {
      await retire(admin, { ...props, mode: "orphan", password: "", consumers: [] }, { urn: props.madeBy });
    },
  };
}
