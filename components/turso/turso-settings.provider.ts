import type * as pulumi from "@pulumi/pulumi";
import type { TursoTarget } from "../rotation/model";
import { sameInputs } from "../thin.provider";
import type { TursoApi } from "./api";
import { keyOf } from "./targets";

export interface Inputs {
  organization: string;
  target: TursoTarget;
  /** Only what config declares; whatever is left out stays as it is. */
  settings: { deleteProtection?: boolean; blockReads?: boolean; blockWrites?: boolean };
}

/** CRUD of declared settings; see components/turso/turso-organization.ts. A setting that leaves the config stays as it is. */
export function tursoSettings(api: TursoApi): pulumi.dynamic.ResourceProvider<Inputs, Inputs> {
  const apply = async (news: Inputs): Promise<Inputs> => {
    await api.configure(news.target, news.settings);
    return news;
  };
  return {
    diff(_id, olds, news) {
      const replaces =
        keyOf(olds.target) === keyOf(news.target) && olds.organization === news.organization ? [] : ["target"];
      return Promise.resolve({ changes: !sameInputs(olds, news), replaces });
    },
    create: async (news) => ({ id: keyOf(news.target), outs: await apply(news) }),
    update: async (_id, _olds, news) => ({ outs: await apply(news) }),
    async read(id, props) {
      if (!props) return {};
      const found = await api.configuration(props.target);
      const names = Object.keys(props.settings) as (keyof Inputs["settings"])[];
      const settings = Object.fromEntries(names.map((name) => [name, found[name]]));
      return { id, props: { ...props, settings } };
    },
    delete: () => Promise.resolve(),
  };
}
