"use strict";
/*
 * Loaded first into a Node process that has a day of its own (local/as-of.ts): `Date` is as many
 * whole days ahead of the machine's clock as TEST_SHIFT_DAYS says, or behind it. The time of day is the machine's and goes on
 * ticking; `performance.now` stays. Days, not a date: processes that begin before and after a midnight have one clock.
 * Plain JavaScript, since it comes before any TypeScript loader.
 */

function shiftDate(scope, ms) {
  const Real = scope.Date;
  const now = () => Real.now() + ms;
  function Shifted(...args) {
    if (new.target === undefined) return new Real(now()).toString();
    return Reflect.construct(Real, args.length === 0 ? [now()] : args, new.target);
  }
  const own = Object.getOwnPropertyDescriptors(Real);
  Object.defineProperties(Shifted, { ...own, now: { ...own.now, value: now } });
  Real.prototype.constructor = Shifted;
  scope.Date = Shifted;
}

const days = Number(process.env.TEST_SHIFT_DAYS ?? 0);
if (days !== 0) shiftDate(globalThis, days * 86_400_000);
