// The direction of imports of the whole tree, as an ESLint rule: which file may know which. Paths are from the checkout's top.
import path from "node:path";

const top = import.meta.dirname;
const KINDS = ["random", "postgres", "turso", "keyset"];
const CONSUMERS = ["cloudflare", "file"];

/** A file that `from` fits imports nothing that `never` fits. */
export const DIRECTIONS = [
  // Tests know everything; nobody knows them.
  { from: /^(?!test\/)/, never: /^test\// },
  { from: /^components\//, never: /^(operations|local)\/|^index\.ts$/ },
  // What kinds and consumers share knows none of them.
  { from: /^components\/rotation\//, never: /^components\/(?!rotation\/)/ },
  // The program and the provider's process join kinds and consumers; they do not know each other.
  ...[...KINDS, ...CONSUMERS].map((one) => {
    const others = [...KINDS, ...CONSUMERS].filter((other) => other !== one);
    return { from: new RegExp(`^components/${one}/`), never: new RegExp(`^components/(${others.join("|")})/`) };
  }),
  { from: /^index\.ts$/, never: /^(operations|local)\// },
  // Commands run on the user's engine, or get one by the bootstrap; they know nothing of the local cloud.
  { from: /^operations\//, never: /^local\/(?!engine(\/|\.ts$|$))|^index\.ts$/ },
  { from: /^local\//, never: /^index\.ts$/ },
  // Commands need the bootstrap alone: it must not bring the local cloud with it.
  { from: /^local\/engine\//, never: /^(operations|components)\/|^local\/(?!engine(\/|\.ts$|$))/ },
];

/** Every way to name another file: import and export statements, import(), types, require. */
export const directions = {
  meta: {
    type: "problem",
    schema: [],
    messages: { wrongWay: "{{from}} may not import {{target}}: eslint.directions.mjs" },
  },
  create(context) {
    const from = path.relative(top, context.filename).replaceAll(path.sep, "/");
    const judge = (node) => {
      const name = node?.type === "TSLiteralType" ? node.literal.value : node?.value;
      if (typeof name !== "string" || !name.startsWith(".")) return;
      // A folder stands for its index.ts.
      const target = path.relative(top, path.resolve(path.dirname(context.filename), name)).replaceAll(path.sep, "/");
      const names = [`${target}.ts`, `${target}/`, target];
      if (DIRECTIONS.some((rule) => rule.from.test(from) && names.some((one) => rule.never.test(one))))
        context.report({ node, messageId: "wrongWay", data: { from, target } });
    };
    return {
      ImportDeclaration: ({ source }) => judge(source),
      ExportNamedDeclaration: ({ source }) => judge(source),
      ExportAllDeclaration: ({ source }) => judge(source),
      ImportExpression: ({ source }) => judge(source),
      TSImportType: ({ argument, source }) => judge(source ?? argument),
      CallExpression: ({ callee, arguments: [first] }) => {
        if (callee.name === "require" || callee.object?.name === "require") judge(first);
      },
    };
  },
};
