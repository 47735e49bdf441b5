// Builds the desk into a folder: one script, one style sheet, both with a hash of their content in the name, and the page that
// loads them. Fails when the script grows past its bound.
import { build } from "esbuild";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const SCRIPT_BOUND = 120 * 1024;

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../../build/desk");
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.tsx", "src/styles/main.css"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  outdir: out,
  outbase: "src",
  entryNames: "[name].[hash]",
  metafile: true,
  logLevel: "warning",
});
const files = Object.keys(result.metafile.outputs).map((f) => basename(f));
const script = files.find((f) => f.endsWith(".js"));
const style = files.find((f) => f.endsWith(".css"));
const page = (await readFile(join(here, "src/index.html"), "utf8")).replace("{script}", script).replace("{style}", style);
await writeFile(join(out, "index.html"), page);

const size = gzipSync(await readFile(join(out, script)), { level: 9 }).length;
console.log(`desk: ${script} ${(size / 1024).toFixed(1)} kB compressed`);
if (size > SCRIPT_BOUND) {
  console.error(`desk: the script is larger than ${SCRIPT_BOUND / 1024} kB`);
  process.exit(1);
}
