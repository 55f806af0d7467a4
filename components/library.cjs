"use strict";
// What another program gets by `import ... from "rollover"`. Node and ts-node leave TypeScript below node_modules alone, so a
// loader is on while the library is read, and off again. In package.json it is the export for `node`, since Pulumi takes the one
// for `default` for the program itself.
const extensions = require("node:module")._extensions;
const before = { ...extensions };
const unregister = require("tsx/cjs/api").register();
try {
  module.exports = require("./index.ts");
} finally {
  unregister();
  // tsx takes those of TypeScript away with its own; the program's next file would not be found.
  Object.assign(extensions, before);
}
