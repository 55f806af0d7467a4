"use strict";
/*
 * Shifts the `Date` of a global scope by `ms`; `performance.now` stays. Plain JavaScript, and complete in itself: a preload takes
 * it before there is any TypeScript loader, and the local cloud puts its text in front of a Worker's code.
 */
module.exports.shiftDate = function shiftDate(scope, ms) {
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
};
