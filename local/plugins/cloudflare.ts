/**
 * Stand-in for the plugin of @pulumi/cloudflare: WorkersScript and Ruleset on the local cloud, with the replace rules of the
 * official plugin 6.22 (https://www.pulumi.com/registry/packages/cloudflare/). Of their inputs it takes those that this
 * project writes; of their outputs it gives the inputs and what the API answers.
 */
import { name, version } from "@pulumi/cloudflare/package.json";
import { checkConfig, Connection } from "./cloudflare/connection";
import { rulesetType } from "./cloudflare/ruleset";
import { workersScriptType } from "./cloudflare/workers-script";
import { serve } from "./server";

const connection = new Connection();

void serve({
  package: { name, version },
  types: [workersScriptType(connection), rulesetType(connection)],
  secretConfig: ["apiToken"],
  checkConfig,
  configure: (config) => {
    connection.configure(config);
  },
});
