/**
 * The report as one page that asks nobody for anything: style and script stand in it, and its content security policy allows
 * these two by their hashes and nothing else. Without script only sorting is missing.
 */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { policyText } from "./markdown";
import { markup, Markup } from "./markup";
import type { Report } from "./model";
import { auditText, type Cell, moment, numbersOf, type Table, tablesOf } from "./tables";
import { timeline } from "./timeline";

const LEGEND = [
  ["current", "current"],
  ["previous", "previous, still accepted"],
  ["next", "made, not yet in use everywhere"],
  ["retired", "retired, may still work"],
  ["gone", "gone"],
  ["late", "current and overdue"],
  ["due", "due"],
  ["plan", "planned roll"],
  ["freeze", "nothing rolls"],
] as const;

export function toHtml(report: Report): string {
  const [style, script] = [textOf("page.css", "timeline.css", "tables.css"), textOf("page.js")];
  const { stack, at, since, audit, policy } = report;
  const title = `Rotation evidence for ${stack}`;
  const allowed = [
    ...["default-src 'none'", `style-src '${hashOf(style)}'`, `script-src '${hashOf(script)}'`, "img-src data:"],
    ...["base-uri 'none'", "form-action 'none'"],
  ];
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${new Markup(allowed.join("; "))}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        ${whole("style", style)}
      </head>
      <body>
        <header>
          <p class="kicker">Rotation evidence</p>
          <h1>${stack}</h1>
          <p class="lead">${moment(since)} to ${moment(at)}. ${policy && policyText(policy)}</p>
          <p class="audit ${audit.state}">${auditText(report)}</p>
          ${audit.state === "whole" && markup`<p class="head">Head of the chain <code>${audit.head}</code></p>`}
        </header>
        <main>
          <dl class="numbers">
            ${numbersOf(report).map(
              ({ label, value, tone }) =>
                markup`<div class="${tone ?? "plain"}">
                  <dt>${label}</dt>
                  <dd>${value}</dd>
                </div>`,
            )}
          </dl>
          <section aria-labelledby="timeline-title">
            <h2 id="timeline-title">Timeline</h2>
            <ul class="legend" aria-hidden="true">
              ${LEGEND.filter(([kind]) => isShown(kind, report)).map(([kind, label]) => markup`<li>${swatch(kind)}${label}</li>`)}
            </ul>
            ${timeline(report)}
          </section>
          ${tablesOf(report).map(section)}
        </main>
        <footer>
          <p>
            All times are UTC; ages count from a generation's stamp. Made by <code>npm run report</code>; it holds
            names, stamps and times, and no secret.
          </p>
        </footer>
        <p class="unseen" role="status" id="sorted"></p>
        ${whole("script", script)}
      </body>
    </html>`;
  return `${page.text}\n`;
}

/** What is rare stands in the legend only where it is in the picture. */
function isShown(kind: (typeof LEGEND)[number][0], { policy, credentials }: Report): boolean {
  if (kind === "freeze") return policy !== undefined && policy.freeze.length > 0;
  return kind !== "next" || credentials.some(({ generations }) => generations.some(({ place }) => place === kind));
}

function textOf(...files: string[]): string {
  return files.map((file) => fs.readFileSync(path.join(__dirname, file), "utf8")).join("\n");
}

/** Exactly the text that its hash is of. */
function whole(tag: "style" | "script", text: string): Markup {
  return new Markup(`<${tag}>${text}</${tag}>`);
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function swatch(kind: (typeof LEGEND)[number][0]): Markup {
  const part = kind === "retired" ? "tail" : kind === "late" ? "late" : "body";
  if (kind === "due")
    return markup`<svg width="22" height="14" class="due"><path d="M11 1 L17 7 L11 13 L5 7 Z" /></svg>`;
  if (kind === "plan") return markup`<svg width="22" height="14" class="plan"><circle cx="11" cy="7" r="4.5" /></svg>`;
  if (kind === "freeze")
    return markup`<svg width="22" height="14" class="freeze"><rect width="22" height="14" /></svg>`;
  return markup`<svg width="22" height="14" class="bar ${kind}"><rect class="${part}" y="1" width="22" height="12" rx="3" /></svg>`;
}

function section({ id, title, note, columns, rows, empty }: Table): Markup {
  const heading = markup`<h2 id="${id}-title">${title}</h2>`;
  if (rows.length === 0)
    return markup`<section>
      ${heading}
      <p class="note">${empty}</p>
    </section>`;
  return markup`<section aria-labelledby="${id}-title">
    ${heading}${note !== undefined && markup`<p class="note">${note}</p>`}
    <div class="scroll" role="region" aria-labelledby="${id}-title" tabindex="0">
      <table id="${id}" role="table">
        <thead role="rowgroup">
          <tr role="row">
            ${columns.map((name) => markup`<th role="columnheader" scope="col"><button type="button">${name}</button></th>`)}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${rows.map(
            (row) =>
              markup`<tr role="row">
                ${row.map((cell, at) => cellOf(cell, columns[at] ?? "", at === 0))}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function cellOf({ text, sort, tone, code, wide }: Cell, label: string, isFirst: boolean): Markup {
  const shown = code === true ? markup`<code>${unbroken(text)}</code>` : markup`<bdi>${unbroken(text)}</bdi>`;
  // Without a value: not worth a line of a card.
  const classes = [tone ?? "", wide ? "wide" : "", text === "–" ? "none" : ""].filter((one) => one !== "").join(" ");
  const more = markup`data-label="${label}"${sort !== undefined && sortOf(sort)}${classes !== "" && markup` class="${classes}"`}`;
  return isFirst
    ? markup`<th role="rowheader" scope="row" ${more}>${shown}</th>`
    : markup`<td role="cell" ${more}>${shown}</td>`;
}

/** A number is sorted by its value, a text by the alphabet. */
function sortOf(sort: string | number): Markup {
  return typeof sort === "number" ? markup` data-number="${sort}"` : markup` data-sort="${sort}"`;
}

/** Dates and times are not broken at their hyphens. */
function unbroken(text: string): Markup[] {
  return text
    .split(/(\d{4}-\d\d-\d\d(?:\.\d+| \d\d:\d\d)?)/)
    .map((part, index) => (index % 2 === 1 ? markup`<span class="date">${part}</span>` : markup`${part}`));
}
