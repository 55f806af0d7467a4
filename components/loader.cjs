"use strict";
// What the text that stands in state as a dynamic resource's provider loads (thin.ts). Plain JavaScript, since the provider's
// process has no TypeScript loader until this registers one. Its path and its one parameter stand in old states: they stay.
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
