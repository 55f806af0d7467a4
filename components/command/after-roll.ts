import * as fs from "node:fs";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Stamp } from "../rotation/model";

export interface AfterRollArgs {
  /** Path of an executable file, relative to the project's folder: `./deploy.sh`. No arguments, no words of a shell. */
  program: string;
  credential: string;
  /** The current generation's. */
  stamp: Stamp;
  /** The mark of its value, so that a value that is minted again under the same stamp counts. */
  tag: pulumi.Input<string>;
  /** Its value; of a keyset the one key. */
  value: pulumi.Input<string>;
  /** Deliveries to the consumers, which end with their attestation; the program runs after all of them. */
  after: pulumi.Resource[];
}

/** What the program is not to have: with them it could read every secret of the stack. */
const WITHHELD = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_ACCESS_TOKEN"];

/**
 * A program of the user's own that is run once the consumers of a credential hold, and have attested, a new current generation.
 *
 * It cannot take anything back: a program that fails fails the update, but the new generation is delivered by then. Nothing is
 * withdrawn, since Pulumi deletes last, so where the credential overlaps the old one still works; the next `pulumi up` runs the program again. So
 * does an update that was killed in the middle: the program must bear being run twice. A change of `program` runs it too. It has
 * ten minutes. It needs a POSIX shell to be started by, and what it prints goes nowhere, since it may print the secret: it keeps
 * a log of its own.
 *
 * In its environment: ROLLOVER_STACK, ROLLOVER_CREDENTIAL, ROLLOVER_STAMP, ROLLOVER_VALUE (the secret), and what `pulumi` was
 * started with but for the stack's passphrase and Pulumi's access token.
 *
 * ```yaml
 * rollover:credentials:
 *   rounds-db: { ..., afterRoll: ./deploy.sh }
 * ```
 */
export class AfterRoll extends pulumi.ComponentResource {
  constructor(name: string, args: AfterRollArgs, opts?: pulumi.ComponentResourceOptions) {
    requirePath(args);
    super("rollover:command:AfterRoll", name, {}, opts);
    requireExecutable(args, this);
    const { program, credential, stamp, tag, value, after } = args;
    const environment = pulumi.secret(
      pulumi.all({
        ROLLOVER_STACK: pulumi.getStack(),
        ROLLOVER_CREDENTIAL: credential,
        ROLLOVER_STAMP: stamp,
        ROLLOVER_VALUE: value,
      }),
    );
    new command.local.Command(
      name,
      {
        // The text stands in the error of a failure, with all that was printed; so it holds no secret, and nothing is printed.
        create: `unset ${WITHHELD.join(" ")}; exec ${program} </dev/null >/dev/null 2>&1`,
        // Without `update` and `delete`: another trigger makes a new resource, and the end of the old one runs nothing.
        triggers: [stamp, tag],
        environment,
        logging: command.local.Logging.None,
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        dependsOn: after,
        additionalSecretOutputs: ["environment", "stdout", "stderr"],
        customTimeouts: { create: "10m", update: "10m" },
      },
    );
    this.registerOutputs({});
  }
}

/** Before anything is registered: the path becomes a word of a shell's line. */
function requirePath({ program, credential }: AfterRollArgs): void {
  if (/^\.\/[A-Za-z0-9_./-]+$/.test(program)) return;
  throw new pulumi.RunError(
    `afterRoll of ${credential}: "${program}" is no path of a program; allowed is one such as ./deploy.sh, without arguments; put them into a script of your own`,
  );
}

/** In the preview too: found at its turn, when all is delivered, its absence would fail the update half-way. */
function requireExecutable({ program, credential }: AfterRollArgs, resource: pulumi.Resource): void {
  const problem = problemOf(program);
  if (problem === undefined) return;
  const text =
    `afterRoll of ${credential}: ${program} ${problem}; it is to be an executable file, relative to the project's folder: ` +
    "put it there and `chmod +x` it (it has to be in the branch that is previewed), or correct the path";
  throw new pulumi.ResourceError(text, resource, true);
}

function problemOf(program: string): string | undefined {
  try {
    fs.accessSync(program, fs.constants.X_OK);
    return fs.statSync(program).isFile() ? undefined : "is no file";
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? "is not there" : `cannot be run (${code})`;
  }
}
