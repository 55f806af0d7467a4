"use strict";
// What another program gets by `import ... from "rollover"`. Node and ts-node leave TypeScript below node_modules alone, so a
// loader is on while the library is read, and off again: the program's own files are compiled as before. In package.json it is the
// export for `node`, since Pulumi takes the one for `default` for the program itself.
const unregister = require("tsx/cjs/api").register();
try {
  module.exports = require("./index.ts");
} finally {
  unregister();
}
