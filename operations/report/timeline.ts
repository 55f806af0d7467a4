/**
 * The timeline as inline SVG: one row a credential, one bar a generation, overlaps below one another. Everything across is in
 * percent and everything down in pixels, so that it is as wide as the page and its text is never scaled.
 */
import { markup, type Markup, type Part } from "./markup";
import type { CredentialReport, Generation, Report } from "./model";
import { moment, PLACE } from "./tables";

const DAY = 86_400_000;
const AXIS = 30;
const NAME = 24;
const LANE = 20;
const BAR = 15;
const GAP = 12;
/** The narrowest that a bar is drawn, in percent. */
const LEAST = 0.6;

interface Scale {
  from: number;
  to: number;
  now: number;
  /** Percent, kept within the picture. */
  x(time: number): number;
}

interface Bar {
  generation: Generation;
  start: number;
  end: number;
  /** Until when one that is retired works, where that is after `end`. */
  tail: number;
  lane: number;
}

export function timeline(report: Report): Markup {
  const scale = scaleOf(report);
  let y = AXIS;
  const rows: Markup[] = [];
  for (const credential of report.credentials) {
    const bars = barsOf(credential, scale.now);
    rows.push(rowOf(credential, bars, scale, y));
    y += NAME + LANE * Math.max(1, ...bars.map(({ lane }) => lane + 1)) + GAP;
  }
  const freezes = report.policy?.freeze ?? [];
  return markup`<svg class="timeline" width="100%" height="${y}" role="group" aria-labelledby="timeline-title">
    <defs>
      <pattern id="hatch" patternUnits="userSpaceOnUse" width="6" height="6" patternTransform="rotate(45)">
        <rect class="hatch-ground" width="6" height="6" />
        <rect class="hatch-line" width="2.5" height="6" />
      </pattern>
    </defs>
    ${freezes.map((freeze) => freezeOf(freeze, scale, y))} ${ticksOf(scale).map((tick) => tickOf(tick, scale, y))}
    ${rows}
    <g class="now" role="img">
      <title>Now: ${moment(report.at)}</title>
      <line x1="${pct(scale.x(scale.now))}" x2="${pct(scale.x(scale.now))}" y1="${AXIS - 6}" y2="${y}" />
      <text x="${pct(scale.x(scale.now))}" y="${AXIS - 10}" text-anchor="middle">now</text>
    </g>
  </svg>`;
}

/** From `since` to the last due date, but no further ahead than it looks back, and no less than a third of that. */
function scaleOf({ since, at, credentials }: Report): Scale {
  const [from, now] = [Date.parse(since), Date.parse(at)];
  const past = now - from;
  const due = Math.max(
    0,
    ...credentials.flatMap(({ age }) => (age.due === undefined ? [] : Date.parse(age.due) - now)),
  );
  const to = now + Math.min(Math.max(due * 1.15, past / 3), past);
  return {
    ...{ from, to, now },
    x: (time) => Math.min(100, Math.max(0, ((time - from) / (to - from)) * 100)),
  };
}

function barsOf({ generations }: CredentialReport, now: number): Bar[] {
  const free: number[] = [];
  return [...generations]
    .map((generation) => ({ generation, start: Math.min(Date.parse(generation.made), now) }))
    .sort((a, b) => a.start - b.start)
    .map(({ generation, start }) => {
      const { place, ended, expires = "" } = generation;
      // Of one that is gone and whose end nobody recorded, only the beginning is known.
      const end = Math.max(start, ended !== undefined ? Date.parse(ended) : place === "gone" ? start : now);
      const expiry = Date.parse(expires);
      // What has no date at which it ends works now.
      const tail = place === "retired" ? Math.max(end, Number.isNaN(expiry) ? now : expiry) : end;
      const lane = free.findIndex((until) => until <= start);
      const at = lane === -1 ? free.length : lane;
      // Behind the current one stands its due date.
      free[at] = place === "current" ? Infinity : tail;
      return { generation, start, end, tail, lane: at };
    });
}

function rowOf(credential: CredentialReport, bars: Bar[], scale: Scale, y: number): Markup {
  const { name, kind, age } = credential;
  const current = bars.find(({ generation }) => generation.place === "current");
  return markup`<g class="row" role="group" aria-label="${name}">
    <line class="rule" x1="0" x2="100%" y1="${y}" y2="${y}" />
    <text class="name" x="0" y="${y + 17}">${name}<tspan class="kind" dx="8">${kind}</tspan></text>
    ${age.due !== undefined && markup`<text class="until ${age.status}" x="100%" y="${y + 17}" text-anchor="end">due ${age.due}</text>`}
    ${bars.map((bar) => barOf(name, bar, age.due, scale, laneOf(bar, y)))}
    ${current && [planOf(name, age.rollOn, scale, laneOf(current, y)), dueOf(name, age.due, scale, laneOf(current, y))]}
  </g>`;
}

function laneOf({ lane }: Bar, y: number): number {
  return y + NAME + lane * LANE;
}

function barOf(name: string, bar: Bar, due: string | undefined, scale: Scale, y: number): Markup {
  const { generation, start, end, tail } = bar;
  const { stamp, place } = generation;
  const x = Math.min(scale.x(start), 100 - LEAST);
  const width = Math.max(LEAST, scale.x(end) - x);
  const late = generation.place === "current" && due !== undefined ? scale.x(endOf(due)) : 100;
  const fits = width > stamp.length * 2.4 ? "fits" : width > stamp.length * 0.85 ? "fits-wide" : undefined;
  return markup`<g class="bar ${place}" role="img">
    <title>${titleOf(name, generation)}</title>
    ${
      tail > end &&
      markup`<rect
        class="tail"
        x="${pct(x + width)}"
        y="${y}"
        width="${pct(Math.max(LEAST, scale.x(tail) - x - width))}"
        height="${BAR}"
      />`
    }
    <rect class="body" x="${pct(x)}" y="${y}" width="${pct(width)}" height="${BAR}" rx="3" />
    ${late < x + width && markup`<rect class="late" x="${pct(Math.max(x, late))}" y="${y}" width="${pct(x + width - Math.max(x, late))}" height="${BAR}" rx="3" />`}
    ${
      fits &&
      markup`<svg x="${pct(x)}" y="${y}" width="${pct(width)}" height="${BAR}">
        <text class="${fits}" x="6" y="11.5">${stamp}</text>
      </svg>`
    }
  </g>`;
}

function titleOf(name: string, { stamp, place, made, madeBy, ended, end, expires }: Generation): string {
  return [
    `${name} ${stamp}: ${PLACE[place]}`,
    `made ${moment(made)}${madeBy === "stamp" ? " by its stamp" : ""}`,
    ...(ended === undefined ? [] : [`${end ?? "ended"} ${moment(ended)}`]),
    ...(expires === undefined ? [] : [`token expires ${moment(expires)}`]),
  ].join(", ");
}

/** A diamond, or a pointer to where it is out of the picture; red where it has passed. */
function dueOf(name: string, due: string | undefined, scale: Scale, y: number): Part {
  if (due === undefined) return undefined;
  const time = endOf(due);
  const shape = time > scale.to ? "M-8 -5 L0 0 L-8 5 Z" : "M0 -6 L6 0 L0 6 L-6 0 Z";
  return markup`<g class="due${time < scale.now ? " past" : ""}" role="img">
    <title>${name} is due ${due}</title>
    <svg class="mark" x="${pct(scale.x(time))}" y="${y + BAR / 2}"><path d="${shape}" /></svg>
  </g>`;
}

function endOf(day: string): number {
  return Date.parse(day) + DAY;
}

/** A ring on the day planned for the roll. */
function planOf(name: string, rollOn: string | undefined, scale: Scale, y: number): Part {
  if (rollOn === undefined) return undefined;
  const time = Date.parse(rollOn);
  if (time < scale.now || time > scale.to) return undefined;
  return markup`<g class="plan" role="img">
    <title>${name} is planned to roll ${rollOn}</title>
    <circle cx="${pct(scale.x(time))}" cy="${y + BAR / 2}" r="4.5" />
  </g>`;
}

function freezeOf(
  { from, to, reason }: { from: string; to: string; reason?: string | undefined },
  scale: Scale,
  y: number,
): Part {
  const [begin, end] = [Date.parse(from), endOf(to)];
  if (end < scale.from || begin > scale.to) return undefined;
  return markup`<g class="freeze" role="img">
    <title>Nothing rolls ${from} to ${to}${reason === undefined ? "" : `: ${reason}`}</title>
    <rect x="${pct(scale.x(begin))}" y="${AXIS}" width="${pct(scale.x(end) - scale.x(begin))}" height="${y - AXIS}" />
  </g>`;
}

interface Tick {
  time: number;
  label: string;
  /** Left out on a narrow page. */
  isMinor: boolean;
}

/** Firsts of months; Mondays where the picture is shorter than two months. At most ten. */
function ticksOf({ from, to }: Scale): Tick[] {
  const days = (to - from) / DAY;
  const found: Tick[] = [];
  if (days < 62) {
    const monday = new Date(from);
    monday.setUTCHours(0, 0, 0, 0);
    monday.setUTCDate(monday.getUTCDate() + ((8 - monday.getUTCDay()) % 7));
    for (let time = monday.getTime(); time <= to; time += 7 * DAY) found.push(tickAt(time, true, found.length));
    return found;
  }
  const step = [1, 2, 3, 6, 12, 24].find((months) => days / 30 / months <= 11) ?? 60;
  const first = new Date(from);
  const month = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth() + 1) / step) * step;
  for (let at = month; utc(at) <= to; at += step) found.push(tickAt(utc(at), false, found.length));
  return found;
}

function utc(months: number): number {
  return Date.UTC(Math.floor(months / 12), months % 12, 1);
}

function tickAt(time: number, isDay: boolean, index: number): Tick {
  const date = new Date(time);
  const name = date.toLocaleString("en", { month: "short", timeZone: "UTC" });
  const label = isDay ? `${date.getUTCDate()} ${name}` : `${name} ${date.getUTCFullYear()}`;
  return { time, label, isMinor: index % 2 === 1 };
}

function tickOf({ time, label, isMinor }: Tick, scale: Scale, y: number): Markup {
  const x = scale.x(time);
  // Beside the picture's edge, or under the word `now`, there is no room for it.
  const isFree = x > 3 && x < 97 && Math.abs(x - scale.x(scale.now)) > 6;
  return markup`<g class="tick${isMinor ? " minor" : ""}">
    <line x1="${pct(x)}" x2="${pct(x)}" y1="${AXIS}" y2="${y}" />
    ${isFree && markup`<text x="${pct(x)}" y="${AXIS - 10}" text-anchor="middle">${label}</text>`}
  </g>`;
}

function pct(value: number): string {
  return `${Number(value.toFixed(2))}%`;
}
