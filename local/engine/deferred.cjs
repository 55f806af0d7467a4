"use strict";
/*
 * Puts off two modules until something of them is used. @pulumi/pulumi loads both whenever it starts, to turn closures into text,
 * which no provider here needs (components/thin.ts): they are over half of its load, and one run of the tests loads it some
 * thousand times. A test about closures would still get them.
 */
const Module = require("node:module");

const HEAVY = ["@npmcli/arborist", "../../typescript-shim"];

const load = Module._load;
Module._load = function (request, ...rest) {
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
