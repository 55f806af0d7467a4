/** A provider behind the wrapper that records it, with a journal and a notifier that keep what they are given. */
import { expect } from "vitest";
import { type Memory, newMemory, type Provider, recorded } from "../../components/audit/recorded";
import type { Recording } from "../../components/audit/records";
import { recordShape } from "../../components/audit/shape";
import type { AuditRecord } from "../../components/audit/record";
import type { Message } from "../../components/notify/notifier";
import type { StackModel } from "../../components/rotation/model";
import type { Kind } from "../../components/thin";

export const token = {
  credential: "rounds-turso",
  stamp: "2026-11-20",
  place: "current",
  mark: "",
  readOnly: "",
  stack: "prod",
};
export const login = { credential: "rounds-db", mode: "login", madeBy: "urn::rounds-db@2026-11-20", stack: "prod" };
export const model = {
  credentials: [
    { name: "rounds-db", reason: "quarterly", ticket: "OPS-12", generations: [], deliver: [] },
    { name: "legacy-db", kind: "postgres", inPlace: true, generations: [], deliver: [] },
  ],
  turso: {
    groups: [{ name: "production", incident: { reason: "a leak" } }],
    databases: [{ name: "rounds", reason: "moved", incident: { reason: "a leak" } }],
  },
  abandon: ["left"],
} as unknown as StackModel;

/** A provider behind the wrapper, and all that came of its calls, in order. */
export function scene(
  kind: Kind,
  calls: Partial<Provider>,
  options: { required?: boolean; dead?: boolean; mute?: boolean; memory?: Memory } = {},
) {
  const events: string[] = [];
  const records: AuditRecord[] = [];
  const messages: Message[] = [];
  const warnings: string[] = [];
  const recording: Recording = {
    journal: {
      required: options.required ?? true,
      write(added) {
        if (options.dead) return Promise.reject(new Error("the audit's database is gone\nsecond line"));
        expect(added.map((one) => recordShape.safeParse(one).error?.issues)).toEqual(added.map(() => undefined));
        records.push(...added);
        events.push(...added.map(({ step, result }) => `${step} ${result}`));
        return Promise.resolve();
      },
    },
    notifier: {
      tell(message) {
        messages.push(message);
        return options.mute ? Promise.reject(new Error("nobody is there")) : Promise.resolve();
      },
    },
    stack: model,
    memory: options.memory ?? newMemory(),
    who: () => Promise.resolve({ actor: "octocat", commit: "c0ffee", update: "1" }),
    warn: (line) => warnings.push(line),
  };
  const create = () => Promise.resolve({ id: "1", outs: {} });
  const wrapped = recorded(kind, { create, ...calls }, recording);
  return { wrapped, events, records, messages, warnings };
}

export const fails = (message: string, properties?: object) => () =>
  Promise.reject(Object.assign(new Error(message), properties && { id: "1", properties }));
