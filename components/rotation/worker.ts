/** Parses one entry of `rollover:workers`. */
import type { Worker, WorkerCode } from "./model";
import { show, type Problem } from "./problem";
import { entries, Fields, NAME, type Entry, type TextRule } from "./read";
import { parseCallUrl, VALUE_BYTES } from "./url";

const HOUR = 3_600_000;

/** Cloudflare answers 10016 to any other (workers.api.error.invalid_script_name). */
const SCRIPT: TextRule = {
  pattern: /^[a-z0-9_][a-z0-9_-]{0,254}$/,
  allowed: "lower-case letters, digits, - and _, first no -, at most 255",
  fix: "write the script's name at Cloudflare",
};
const FILE: TextRule = {
  pattern: /^(?!.{256})(?:(?!\.{1,2}\/)[^\p{Cc}/\\:]+\/)*[^\p{Cc}/\\:]+\.m?js$/u,
  allowed: "a path inside the project's folder, without ./ and ../, that ends in .js or .mjs",
  fix: "write the path of the bundled module",
};
/** Without quotes it arrives as YAML's time of that day's begin. */
const DATE: TextRule = { pattern: /^\d{4}-\d{2}-\d{2}( 00:00:00 \+0000 UTC)?$/, allowed: "a date such as 2026-07-01" };
const FLAG: TextRule = { pattern: /^[a-z0-9_]{1,100}$/, allowed: "a compatibility flag such as nodejs_compat" };
const VARIABLE: TextRule = {
  pattern: /^(?!ROLLOVER_)[A-Za-z_][A-Za-z0-9_]*$/,
  allowed: "letters, digits and _, first no digit, and not ROLLOVER_...",
};

export function parseWorker(entry: Entry, problems: Problem[]): Worker {
  // `rounds-api:` with nothing under it is a worker with every default.
  const fields = new Fields(entry.where, entry.value ?? {}, problems);
  fields.onlyKnown(["script", "probe", "answers", "within", "settle", "code"]);
  const worker: Worker = {
    name: entry.name,
    script: fields.text("script", SCRIPT, NAME.pattern.test(entry.name) ? entry.name : ""),
    answers: fields.integer("answers", 1, 1000, 20),
    withinMs: fields.duration("within", 1000, HOUR, 300_000),
    settleMs: fields.duration("settle", 0, HOUR, 60_000),
  };
  if (fields.has("code")) worker.code = parseCode(new Fields(fields.path("code"), fields.get("code"), problems));
  if (!fields.has("probe")) return worker;
  const parsed = parseCallUrl(fields.get("probe"));
  if ("url" in parsed) return { ...worker, probe: parsed.url.href };
  const allowed = "an https URL such as https://rounds.example.com/.well-known/rollover; http only on loopback";
  const problem: Omit<Problem, "where"> = { what: parsed.problem, allowed, fix: "correct it, or remove it" };
  if (parsed.value !== undefined) problem.value = show(parsed.value);
  fields.refuse("probe", problem);
  return worker;
}

function parseCode(fields: Fields): WorkerCode {
  fields.onlyKnown(["file", "compatibilityDate", "compatibilityFlags", "vars"]);
  const vars = entries(fields.path("vars"), fields.get("vars"), fields.problems, VARIABLE);
  return {
    file: fields.text("file", FILE),
    compatibilityDate: fields.text("compatibilityDate", DATE).slice(0, 10),
    compatibilityFlags: fields.texts("compatibilityFlags", "flags", FLAG),
    vars: Object.fromEntries(
      vars.flatMap(({ name, where, value }) => {
        if (typeof value === "string" && Buffer.byteLength(value) <= VALUE_BYTES) return [[name, value]];
        const what = typeof value === "string" ? "is too long" : "is no text";
        const allowed = `a text of at most ${VALUE_BYTES} bytes`;
        fields.problems.push({ where, what, allowed, fix: "write it in quotes, or shorten it" });
        return [];
      }),
    ),
  };
}
