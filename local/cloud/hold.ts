/**
 * Starts the local cloud and keeps it until the process ends: for play by hand, and for the test that ends it rudely.
 * Prints one line of JSON: where things are, and the pids of the servers. No secret.
 */
import { EVERYTHING, startCloud } from ".";
import { supervisor } from "./supervise";

void startCloud({ needs: EVERYTHING }).then((cloud) => {
  const { postgres, cloudflare, workers } = cloud.config();
  console.log(JSON.stringify({ postgres, cloudflare, workers, pids: supervisor().alive() }));
});
