/** Parses what operating a stack takes: `rollover:audit`, `rollover:notify`, and the keys of a credential that say who, why and what then. */
import type { Audit, CredentialBase, Email, Notify } from "./model";
import { show, type Problem } from "./problem";
import type { RawConfig, Secret } from "./raw-config";
import { Fields, type TextRule, webhookInPlainText } from "./read";
import { HOST, parseServer, passwordInPlainText, SERVER_KEYS } from "./server";
import { isLoopbackHost } from "./url";

export const REASON: TextRule = {
  pattern: /^(?=.*\S)[^\p{Cc}]{1,500}$/u,
  allowed: "a text of one line, at most 500 characters",
  fix: "say in one line what happened",
};
export const TICKET: TextRule = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9#._/-]{0,99}$/,
  allowed: "letters, digits and # . _ / -, at most 100, such as OPS-12",
};
/** As strict as what a header and a message can hold without quoting. */
export const ADDRESS: TextRule = {
  pattern: /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*$/,
  allowed: "an e-mail address such as ops@example.com",
};
const HOLDER: TextRule = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9.!#$%&'*+/=?^_~@-]{0,199}$/,
  allowed: "an address or a user name such as a@example.com, without spaces",
};
/** No argument and no word of a shell: the program is named, and nothing else. */
const PROGRAM: TextRule = {
  pattern: /^\.\/(?!.{200})(?:(?!\.{1,2}\/)[A-Za-z0-9_.-]+\/)*(?!\.{1,2}$)[A-Za-z0-9_.-]+$/,
  allowed: "a path inside the project such as ./deploy.sh, without arguments",
  fix: "put the arguments into a script of your own",
};
const FILE: TextRule = {
  pattern: /^(?!.{200})(?:(?!\.{1,2}\/)[A-Za-z0-9_.-]+\/)*(?!\.{1,2}$)[A-Za-z0-9_.-]+\.jsonl$/,
  allowed: "a relative path inside the project that ends in .jsonl, such as audit/prod.jsonl",
};
const DAY = 86_400_000;
const LONGEST = 3650 * DAY;

type Operating = Pick<CredentialBase, "holders" | "maxAgeMs" | "reason" | "ticket" | "afterRoll">;

export function parseOperating(fields: Fields): Operating {
  const operating: Operating = parseWhy(fields);
  if (fields.has("holders")) operating.holders = fields.texts("holders", "people", HOLDER);
  if (fields.has("maxAge")) operating.maxAgeMs = fields.duration("maxAge", DAY, LONGEST, LONGEST);
  if (fields.has("afterRoll")) operating.afterRoll = fields.text("afterRoll", PROGRAM);
  return operating;
}

/** Of the last edit; `npm run rotate -- --reason` writes it. */
export function parseWhy(fields: Fields): { reason?: string; ticket?: string } {
  return {
    ...(fields.has("reason") ? { reason: fields.text("reason", REASON) } : {}),
    ...(fields.has("ticket") ? { ticket: fields.text("ticket", TICKET) } : {}),
  };
}

export function parseAudit(raw: unknown, { secrets }: RawConfig, problems: Problem[]): Audit {
  const fields = new Fields("rollover:audit", raw, problems);
  fields.onlyKnown(["file", "required", ...SERVER_KEYS], (key) =>
    key === "password" ? passwordInPlainText("auditPassword") : undefined,
  );
  const required = fields.flag("required", true);
  if (!fields.has("file")) {
    const server = { ...parseServer(fields, "the password of the audit's login"), superuser: false };
    needSecret(fields, "auditPassword", "the password of the login that may only insert", secrets);
    return { required, server };
  }
  const [other] = SERVER_KEYS.filter((key) => fields.has(key));
  if (other !== undefined) {
    const fix = "keep `file`, or the server of the table";
    fields.refuse(other, { what: "stands beside `file`", allowed: "one of the two", fix });
  }
  return { required, file: fields.text("file", FILE) };
}

export function parseNotify(raw: unknown, { secrets }: RawConfig, problems: Problem[]): Notify {
  const fields = new Fields("rollover:notify", raw, problems);
  fields.onlyKnown(["notice", "required", "email"], (key) =>
    /webhook|url/i.test(key) ? webhookInPlainText() : undefined,
  );
  const notify: Notify = {
    noticeMs: fields.duration("notice", 0, 30 * DAY, 0),
    required: fields.flag("required", false),
  };
  if (fields.has("email")) notify.email = parseEmail(fields, secrets);
  else if (!secrets.includes("alertWebhook")) {
    fields.refuse("", {
      what: "has nobody to tell",
      allowed: "`email`, the secret alertWebhook, or both",
      fix: "add `email`, or run `pulumi config set --secret alertWebhook`",
    });
  }
  return notify;
}

function parseEmail(parent: Fields, secrets: RawConfig["secrets"]): Email {
  const fields = new Fields(parent.path("email"), parent.get("email"), parent.problems);
  fields.onlyKnown(["host", "port", "secure", "username", "from", "to"], (key) =>
    key === "password" ? passwordInPlainText("smtpPassword") : undefined,
  );
  const secure = fields.flag("secure", false);
  const email: Email = {
    host: fields.text("host", HOST),
    port: fields.integer("port", 1, 65_535, secure ? 465 : 587),
    secure,
    from: fields.text("from", ADDRESS),
    to: fields.texts("to", "addresses", ADDRESS),
  };
  const given = fields.get("to");
  if (given === undefined || (Array.isArray(given) && given.length === 0))
    fields.refuse("to", { what: "names nobody", allowed: ADDRESS.allowed, fix: "name at least one" });
  if (fields.has("username")) {
    email.username = fields.text("username", { pattern: /^[^\p{Cc}]{1,200}$/u, allowed: "a user name" });
    needSecret(fields, "smtpPassword", "the password of that user", secrets);
  } else if (email.host !== "" && !isLoopbackHost(email.host)) {
    fields.refuse("username", {
      what: "is missing",
      value: show(email.host),
      allowed: "the user that submits; only a server on loopback needs none",
      fix: "add it, and run `pulumi config set --secret smtpPassword`",
    });
  }
  return email;
}

function needSecret(fields: Fields, key: Secret, what: string, secrets: RawConfig["secrets"]): void {
  if (secrets.includes(key)) return;
  const fix = `run \`pulumi config set --secret ${key}\``;
  fields.problems.push({
    where: `rollover:${key}`,
    what: `is not set, and ${fields.where} needs it`,
    allowed: `${what}, as a secret`,
    fix,
  });
}
