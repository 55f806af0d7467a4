// Proves that no text of others becomes markup, a link, a mention or another line in the plan's Markdown, by parsing it (Prettier's
// parser, and for GitHub's mentions the text that is left), and how long such texts may be. Not what GitHub itself makes of it.
import fc from "fast-check";
import { parsers } from "prettier/plugins/markdown";
import { describe, expect, it } from "vitest";
import { code, plain } from "../../operations/plan/words";

interface Node {
  type: string;
  value?: string;
  children?: Node[];
}

/** Prettier's own types know nothing of the tree. */
function treeOf(markdown: string): Node {
  return (parsers.markdown.parse as unknown as (text: string, options: object) => Node)(markdown, {
    originalText: markdown,
  });
}

function below({ children = [] }: Node): Node[] {
  return children.flatMap((node) => [node, ...below(node)]);
}

const typesIn = (node: Node | undefined) => [...new Set(node ? below(node).map(({ type }) => type) : [])].sort();
const saidIn = (node: Node | undefined) => (node ? below(node).map(({ value = "" }) => value) : []).join("");

/** What GitHub makes of the text after Markdown: https://github.com/github/cmark-gfm/issues/181 */
const REFERENCE = /@[a-z0-9]|#\d|:\/\/|www\./i;
const ZERO_WIDTH = /\u200b/g;

/** As a debt stands in a list, first in it and later, and as it would in a table. */
function inPlace(text: string) {
  const table = `| A | B |\n| --- | --- |\n| ${text} | next |`;
  const page = treeOf(`### Title\n\n- \`name\`: ${text}\n- ${text}\n- next\n\nBetween.\n\n${table}\n\nAfter.\n`);
  const [, list, , rows] = page.children ?? [];
  return {
    blocks: page.children?.map(({ type }) => type),
    items: list?.children ?? [],
    cells: rows?.children?.[1]?.children,
  };
}

const BLOCKS = ["heading", "list", "paragraph", "table", "paragraph"];
const HTML = "</li></ul><details><summary>All green, reviewed by @octocat</summary>";
const NASTY = [
  ...[
    "`",
    "``",
    "```",
    "~~~",
    "~~",
    "\\",
    "\\`",
    "<b>",
    "</li>",
    "<!--",
    "-->",
    "<details>",
    "<https://a.example>",
    "&",
    "&lt;",
  ],
  ...[
    "@octocat",
    "a@b.example",
    "#1",
    "# ",
    "[a](http://b.example)",
    "![a](b)",
    "[a]: b",
    "[^1]",
    "https://a.example",
    "www.a.example",
  ],
  ...[
    "mailto:a@b.example",
    "*a*",
    "**",
    "__a__",
    "_",
    "|",
    "$a$",
    "- ",
    "+ ",
    "1. ",
    "1) ",
    "---",
    "===",
    "> ",
    "    ",
  ],
  ...[
    "\n",
    "\n\n",
    "\r",
    "\t",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u061c",
    "\u001b[2J",
    "\u009b",
    "\u0007",
    "\u00a0",
    "é",
    "😀",
  ],
  ...["a", " ", "1", ".", ":", "`retired`", "`npm run plan -- --stack x`"],
];
const nasty = fc.oneof(
  fc.array(fc.constantFrom(...NASTY), { maxLength: 12 }).map((parts) => parts.join("")),
  fc.string({ unit: "binary", maxLength: 30 }),
);

describe("a sentence with what others wrote", () => {
  it("stays text in its place, whatever it is", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        const { blocks, items, cells } = inPlace(plain(text));
        expect(blocks).toEqual(BLOCKS);
        expect(items).toHaveLength(3);
        expect(cells).toHaveLength(2);
        for (const place of [items[0], items[1], cells?.[0]]) {
          expect(["inlineCode", "paragraph", "sentence", "text", "whitespace", "word"]).toEqual(
            expect.arrayContaining(typesIn(place)),
          );
          const texts = place ? below(place).filter(({ type }) => type === "text") : [];
          for (const { value = "" } of texts) expect(value).not.toMatch(REFERENCE);
        }
        // Nothing of it is lost either, but for controls and what marked a code span.
        const bare = (of: string) => of.replace(ZERO_WIDTH, "").replace(/[`\s\p{Cc}\p{Bidi_Control}]+/gu, "");
        expect(bare(saidIn(cells?.[0]))).toBe(bare(text));
        expect(plain(text)).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      }),
      { numRuns: 300 },
    );
  });

  it("ends no code span early, and hides nothing that follows", () => {
    for (const text of [`\`\`\` ${HTML} \`x`, `\\\` ${HTML} \`x\``, `\`a\`\`b\` ${HTML} \`\`c\``, `\`${HTML}\``]) {
      expect(plain(text)).not.toMatch(/<|@[a-z]/);
      expect(typesIn(inPlace(plain(text)).items[0])).not.toContain("html");
      expect(saidIn(inPlace(plain(text)).items[0])).toContain("<details>");
    }
  });

  it("keeps our own code spans", () => {
    const text = "`npm run rotate -- --due` rolls it, `generation: 2026-11-20` drops it, `./deploy.sh` runs";
    expect(plain(text)).toBe(text);
    expect(plain("rounds_20260401 (2026-11-20, 5 %) a_b__c")).toBe("rounds_20260401 (2026-11-20, 5 %) a_b__c");
  });
});

describe("a name", () => {
  it("is one code span and nothing else", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        const { blocks, items, cells } = inPlace(code(text));
        expect(blocks).toEqual(BLOCKS);
        expect(items).toHaveLength(3);
        expect(cells).toHaveLength(2);
        expect(below(items[0] ?? { type: "" }).filter(({ type }) => type === "inlineCode")).toHaveLength(
          text === "" ? 1 : 2,
        );
        expect(typesIn(items[0])).not.toContain("html");
        expect(code(text)).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
      }),
    );
  });
});
