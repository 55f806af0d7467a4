"use strict";
// What another program gets by `import ... from "rollover"`. Node and ts-node leave TypeScript below node_modules alone, so a
// loader is on while the library is read, and off again: the program's own files are compiled as before.
const unregister = require("tsx/cjs/api").register();
try {
  module.exports = require("./index.ts");
} finally {
  unregister();
}
