// Fails if a module, with all that it imports, is larger than a page should have to load.
//
//   node size.js MODULE BYTES [EXTERNAL...]
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const [module, limit, ...external] = process.argv.slice(2);
const { outputFiles } = await build({
  entryPoints: [module],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
  external,
});
const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`${module}: ${size} bytes, compressed; ${limit} are allowed`);
if (size > Number(limit)) process.exit(1);
