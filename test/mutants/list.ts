/** Every fault that is tried, by what it is in. */
import { configMutants } from "./list/config";
import { keysetMutants } from "./list/keysets";
import { operatingMutants } from "./list/operating";
import { postgresMutants } from "./list/postgres";
import { tursoMutants } from "./list/turso";
import { workerMutants } from "./list/workers";
import type { Mutant } from "./mutant";

export const mutants: readonly Mutant[] = [
  ...postgresMutants,
  ...workerMutants,
  ...keysetMutants,
  ...tursoMutants,
  ...configMutants,
  ...operatingMutants,
];
