import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig([
  globalIgnores(["**/dist", "packages/snippets"]),
  tseslint.configs.strictTypeChecked,
  reactHooks.configs.flat.recommended,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["packages/*.js"] } } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/no-unused-vars": [
        "error",
        { ignoreRestSiblings: true, varsIgnorePattern: "^_", argsIgnorePattern: "^_" },
      ],
      // Numbers in texts, and `return f()` of a function without a value, are clear enough.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      // It fails on the type parameters of this version.
      "@typescript-eslint/unified-signatures": "off",
    },
  },
  { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
  {
    files: ["**/test/**"],
    rules: {
      // `expect.objectContaining` and its like are `any`.
      "@typescript-eslint/no-unsafe-assignment": "off",
      // Handlers of fakes have to be asynchronous without waiting.
      "@typescript-eslint/require-await": "off",
    },
  },
]);
