"use strict";
/*
 * Serves this checkout's own program, and the providers that it names, as the JavaScript that was made of it when the engine was
 * prepared (bundle.ts). To load the TypeScript compiler, and to look up its source maps for each promise that the SDK makes, takes
 * such a process half of its CPU, and every update starts two. A program that stands elsewhere is loaded as at its users', and so is
 * this one where ROLLOVER_COMPILE is set: the bench measures what users get.
 */
const fs = require("node:fs");
const Module = require("node:module");
const path = require("node:path");

const made = path.join(__dirname, "..", "program");
const checkout = fs.existsSync(made) ? fs.readFileSync(path.join(made, "checkout"), "utf8") : undefined;
/** What would compile, or map what was compiled. */
const INSTEAD = ["tsx/cjs", "source-map-support/register"];

/** Whether the program of a folder is this checkout's. */
exports.isTranspiled = (folder) => process.env.ROLLOVER_COMPILE === undefined && fs.realpathSync(folder) === checkout;

if (exports.isTranspiled(process.cwd())) {
  const load = Module._load;
  Module._load = function (request, ...rest) {
    return INSTEAD.includes(request) ? {} : load.call(this, request, ...rest);
  };
  Module._extensions[".ts"] = (module, file) => {
    const script = path.join(made, path.relative(checkout, file).replace(/\.ts$/, ".js"));
    module._compile(fs.readFileSync(script, "utf8"), file);
  };
}
