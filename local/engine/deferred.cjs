"use strict";
/*
 * Puts off what @pulumi/pulumi loads whenever it starts, until something of it is used: what turns closures into text, which no
 * provider here needs (components/thin.ts), the automation API and the exporters of traces. They are over half of its load, and one run
 * of the tests loads it some thousand times. A test about closures would still get them.
 */
const Module = require("node:module");

const HEAVY = [
  ...["@npmcli/arborist", "../../typescript-shim", "./automation"],
  ...[
    "resources",
    "sdk-trace-base",
    "exporter-zipkin",
    "instrumentation-grpc",
    "sdk-trace-node",
    "instrumentation",
  ].map((name) => `@opentelemetry/${name}`),
];
/** A debugger's session, so that an error about a closure can name the file of a script that was loaded before. */
const DEBUGGER = "../../runtime/closure/v8Hooks";

const load = Module._load;
Module._load = function (request, ...rest) {
  if (request === DEBUGGER) return { isInitializedAsync: () => Promise.resolve() };
  if (!HEAVY.includes(request)) return load.call(this, request, ...rest);
  let real;
  const get = (_, key) => {
    // What __importStar of the SDK asks first: a module that says yes is used as it is, not copied key by key.
    if (key === "__esModule") return true;
    real ??= load.call(this, request, ...rest);
    return real[key];
  };
  return new Proxy({}, { get });
};
