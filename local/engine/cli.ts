/** `prepareEngine` as a process of its own: options as JSON in the argument, the engine as JSON on stdout. */
import { prepareEngine, type EngineOptions } from ".";

prepareEngine(JSON.parse(process.argv[2] ?? "{}") as EngineOptions).then(
  (engine) => {
    process.stdout.write(`${JSON.stringify(engine)}\n`);
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
