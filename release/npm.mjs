/**
 * Packs what is published to npm: the main package and one package for each platform.
 *
 *   node release/npm.mjs BINARIES OUT [--all]
 *
 * BINARIES holds `app-client.<platform>.node` files; those that are there become packages, and the main package
 * names these as optional dependencies. `--all` demands one for each target of `package.json`: that is a release.
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../bindings-node", import.meta.url));
const [binaries, out] = process.argv.slice(2, 4).map((name) => path.resolve(name));
const all = process.argv.includes("--all");
const { devDependencies, scripts, ...manifest } = JSON.parse(
  fs.readFileSync(path.join(SOURCE, "package.json"), "utf8"),
);

fs.rmSync(out, { recursive: true, force: true });
const main = path.join(out, "main");
fs.mkdirSync(main, { recursive: true });

// napi stays within the package that it finds.
fs.copyFileSync(path.join(SOURCE, "package.json"), path.join(main, "package.json"));
const platforms = path.join(main, "npm");
const napi = path.join(SOURCE, "node_modules/@napi-rs/cli/dist/cli.js");
execFileSync(process.execPath, [napi, "create-npm-dirs", "--npm-dir", "npm"], { cwd: main });

const optional = {};
const folders = [main];
const missing = [];
for (const platform of fs.readdirSync(platforms).sort()) {
  const file = `${manifest.napi.binaryName}.${platform}.node`;
  const binary = path.join(binaries, file);
  const folder = path.join(platforms, platform);
  if (!fs.existsSync(binary)) {
    missing.push(platform);
    continue;
  }
  fs.copyFileSync(binary, path.join(folder, file));
  fs.copyFileSync(path.join(SOURCE, "LICENSE"), path.join(folder, "LICENSE"));
  const { name, version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  if (version !== manifest.version) throw new Error(`${name} has version ${version}`);
  optional[name] = version;
  folders.push(folder);
}
if (folders.length === 1) throw new Error(`no binary is in ${binaries}`);
if (all && missing.length > 0) throw new Error(`no binary for ${missing.join(", ")}`);

// The add-ons are in packages of their own.
const files = manifest.files.filter((name) => !name.endsWith(".node"));
for (const name of ["README.md", "LICENSE", ...files]) {
  fs.cpSync(path.join(SOURCE, name), path.join(main, name), { recursive: true });
}
const published = { ...manifest, files, optionalDependencies: optional };
fs.writeFileSync(path.join(main, "package.json"), `${JSON.stringify(published, null, 2)}\n`);

for (const folder of folders) {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--pack-destination", out], { cwd: folder }).toString(),
  );
  console.log(`${packed.filename}: ${packed.size.toLocaleString("en")} bytes`);
}
if (missing.length > 0) console.log(`without a binary here, left out: ${missing.join(", ")}`);
