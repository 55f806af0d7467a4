"use strict";
/*
 * Loaded first into every Node process of a test run that has a day of its own (TEST_TODAY; as-of.ts): `Date` is as many
 * whole days ahead of the machine's clock, or behind it, as TEST_SHIFT_DAYS says. The time of day is the machine's and goes on
 * ticking. Days, not a date: processes that begin before and after a midnight have one clock.
 */
const { shiftDate } = require("./shift-date.cjs");

const days = Number(process.env.TEST_SHIFT_DAYS ?? 0);
if (days !== 0) shiftDate(globalThis, days * 86_400_000);
