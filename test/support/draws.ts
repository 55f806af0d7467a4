/** Loaded before every test file: fast-check draws the same examples in every run. A failure is one for everybody. */
import fc from "fast-check";

fc.configureGlobal({ seed: 20_261_201 });
