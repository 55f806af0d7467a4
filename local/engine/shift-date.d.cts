/** Shifts the `Date` of `scope` by `ms`. */
export declare function shiftDate(scope: object, ms: number): void;
