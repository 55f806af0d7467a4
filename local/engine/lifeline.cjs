"use strict";
require("./deferred.cjs");
require("./transpiled.cjs");
/*
 * Loaded first into every helper process (`node --require`): ends it when its stdin closes, which is when its parent
 * died, also by `kill -9`; a helper of the engine would outlive it otherwise. No grace for a call in flight: to the
 * next `up` that is a crash, which every provider must bear anyway. Plain JavaScript, since a program's process may
 * have no TypeScript loader yet.
 */
const end = () => process.exit(0);
process.stdin.on("end", end);
process.stdin.on("close", end);
process.stdin.on("error", end);
process.stdin.resume();
// Watching must not keep a program alive that is done.
process.stdin.unref?.();
