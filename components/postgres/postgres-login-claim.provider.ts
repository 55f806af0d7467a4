import type * as pulumi from "@pulumi/pulumi";
import { sameInputs } from "../thin.provider";
import { type Admin, retire } from "./retire";

export interface Inputs {
  login: string;
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
    diff(_id, olds, news) {
      const replaces = (["login", "madeBy"] as const).filter((key) => olds[key] !== news[key]);
      return Promise.resolve({ changes: replaces.length > 0 || !sameInputs(olds, news), replaces });
    },
    create: (news) => Promise.resolve({ id: news.login, outs: news }),
    update: (_id, _olds, news) => Promise.resolve({ outs: news }),
    // Its login's resource is gone by now, and with it the login: what is still there was left by a crash.
    delete: (_id, props) =>
      retire(admin, { ...props, mode: "login", password: "", consumers: [] }, { urn: props.madeBy }),
  };
}
