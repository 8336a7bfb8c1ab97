// Checks the types of the code in documents: each block that is marked as ts or tsx is a module.
//
//   node snippets.js DOCUMENT...
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const folder = join(import.meta.dirname, "snippets");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);

let count = 0;
for (const document of process.argv.slice(2)) {
  for (const [, kind, code] of readFileSync(document, "utf8").matchAll(/^```(tsx?)\n(.*?)^```$/gms)) {
    count += 1;
    const name = `${basename(dirname(document))}-${basename(document, ".md")}-${count}.${kind}`;
    writeFileSync(join(folder, name), code);
  }
}
const config = {
  extends: "../tsconfig.base.json",
  compilerOptions: { noEmit: true, jsx: "react-jsx", types: [], noUnusedLocals: false },
  include: ["*.ts", "*.tsx"],
};
writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
execFileSync("npx", ["tsc", "-p", folder], { stdio: "inherit" });
console.log(`${count} blocks of documents have correct types`);
if (count === 0) process.exit(1);
