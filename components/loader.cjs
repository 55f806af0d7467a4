"use strict";
// What the text that stands in state as a dynamic resource's provider loads (thin.ts). Plain JavaScript, since the provider's
// process has no TypeScript loader until this registers one. Its path and its one parameter stand in old states: they stay.

// The process ends with its engine. Started by the SDK's launcher script it would outlive one that is killed, and a retirement that
// it was in would withdraw, a minute later, a login that the next update has kept. To that update it is a crash like any other.
if (process.argv[1]?.includes("dynamic-provider")) {
  for (const event of ["end", "close", "error"]) process.stdin.on(event, () => process.exit(1));
  process.stdin.resume();
  process.stdin.unref?.();
}

module.exports = (kind) => ({
  // Pulumi caches the provider before it awaits this, so a second call may meet it half-way: all is done before any promise.
  async configure(request) {
    try {
      require("tsx/cjs");
      Object.assign(this, require("./providers.ts").load(kind, request.config));
    } catch (error) {
      // Thrown here it would reach the first call alone: Pulumi has the object by now, and a `delete` that it does not find
      // on it counts as done. So each call is refused.
      const refuse = () => Promise.reject(error);
      Object.assign(this, {
        check: refuse,
        diff: refuse,
        create: refuse,
        read: refuse,
        update: refuse,
        delete: refuse,
      });
    }
  },
});
