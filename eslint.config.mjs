import tseslint from "typescript-eslint";
import { clock } from "./eslint.clock.mjs";
import { directions } from "./eslint.directions.mjs";

export default tseslint.config(
  { ignores: ["node_modules/"] },
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: ["**/*.ts"] })),
  {
    files: ["**/*.ts"],
    plugins: { rollover: { rules: { directions } } },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "rollover/directions": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      // Numbers in messages are plain; `${n}` needs no String().
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
    },
  },
  ...clock,
);
