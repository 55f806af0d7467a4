/**
 * Stand-in for the plugin of @pulumi/postgresql: Role, Database and Grant on a Postgres server of this machine, with
 * the inputs, outputs, secrets and replace rules of the official plugin 3.18
 * (https://www.pulumi.com/registry/packages/postgresql/). `name` must be given. The admin may be no superuser
 * (`superuser: false`).
 */
import { name, version } from "@pulumi/postgresql/package.json";
import { checkConfig, Server } from "./postgresql/connection";
import { databaseType } from "./postgresql/database";
import { grantType } from "./postgresql/grant";
import { roleType } from "./postgresql/role";
import { serve } from "./server";

const server = new Server();

void serve({
  package: { name, version },
  types: [roleType(server), databaseType(server), grantType(server)],
  secretConfig: ["password"],
  checkConfig,
  configure: (config) => {
    server.configure(config);
  },
});
