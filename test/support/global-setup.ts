import { prepareEngine } from "../../local/engine";

/** Gets the engine before the first test's time runs: on a new machine it is built, which takes minutes. */
export default async function setup(): Promise<void> {
  await prepareEngine();
}
