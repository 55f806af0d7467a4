/** Cases for promtool in which Prometheus reached a Worker's counters an hour and a half long no more, from 1h1m to 2h31m. */
import { type Case, failures, passed } from "./alerts-fixture";

/** A counter that has counted for long, is not seen, and is the same again. */
const away = (count: number) => `${count}x60 _x90 ${count}x1600`;
/** Of `up`, meanwhile. */
const DOWN = "1x60 0x89 1x1600";
const UP = 'up{job="api"}';
const [KID, UNKNOWN] = ["2026-11-20.2", "unknown-key"];
const at = (instance: string) => `,instance="${instance}"`;

export const OUTAGES: Case[] = [
  {
    what: "nothing refused since long ago, and an outage of all scrapes",
    alert: "TokenVerificationFailureRatio",
    series: { [UP]: DOWN, [failures()]: away(5000), [passed(KID)]: away(9000) },
    silent: ["2h29m", "2h34m", "2h40m", "3h"],
  },
  {
    what: "nothing refused since long ago, and an outage of one of two scraped addresses",
    alert: "TokenVerificationFailureRatio",
    series: {
      [`up{job="api"${at("a")}}`]: DOWN,
      [`up{job="api"${at("b")}}`]: "1x1600",
      [failures("signature", at("a"))]: away(5000),
      [passed(KID, at("b"))]: "0+100x1600",
    },
    silent: ["2h29m", "2h34m", "2h40m", "3h"],
  },
  {
    what: "nothing refused since long ago, and an outage the day before",
    alert: "TokenVerificationFailuresDaily",
    series: { [UP]: DOWN, [failures()]: away(5000) },
    silent: ["3h", "26h10m", "26h20m", "27h"],
  },
  {
    what: "isolates whose counters are summed at one address, and an outage of that",
    alert: "RetiredKeyPresented",
    series: { [UP]: DOWN, [failures(UNKNOWN, at("isolate"))]: away(3) },
    silent: ["2h29m", "2h34m", "2h40m", "3h"],
  },
  {
    what: "one token after an outage",
    alert: "RetiredKeyPresented",
    series: { [UP]: DOWN, [failures(UNKNOWN)]: "5000x60 _x90 5000x20 5001x200" },
    fires: ["2h53m"],
    silent: ["2h34m", "2h50m", "3h5m"],
  },
  {
    what: "one token after an outage, in an isolate that began after it",
    alert: "RetiredKeyPresented",
    series: { [UP]: DOWN, [failures(UNKNOWN, at("new"))]: "_x170 1x200" },
    fires: ["2h53m"],
    silent: ["2h45m", "3h5m"],
  },
];
