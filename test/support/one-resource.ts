/** For tests of one provider: updates on the small engine of a program that declares one resource of it, or no longer. */
import { listed, type Props, SmallEngine, untyped } from "./small-engine";

export interface OneResource<I, O> {
  /** Returns what state holds then; rejects where a step fails. */
  up(inputs: I): Promise<O>;
  /** An update of a program that no longer declares it. */
  remove(): Promise<void>;
  /** What an update would do: `update it`. */
  preview(inputs: I): Promise<string | undefined>;
  refresh(): Promise<void>;
  /** What state holds. */
  kept(): O;
}

/** `providerOf` is asked at each call, as a test may change what the provider works with. */
export function oneResource<I extends object, O>(providerOf: () => object): OneResource<I, O> {
  const engine = new SmallEngine({ providerOf: () => untyped(providerOf()) });
  const program = (inputs: I) => listed([{ name: "it", inputs: () => inputs as Props }]);
  const kept = (): O => {
    const found = engine.state.find((one) => one.delete !== true);
    if (!found) throw new Error("state holds nothing");
    return found.outputs as O;
  };
  return {
    async up(inputs) {
      await engine.finish(program(inputs));
      return kept();
    },
    remove: () => engine.finish(listed([])),
    preview: (inputs) => engine.preview(program(inputs)),
    refresh: () => engine.refresh(),
    kept,
  };
}
