/** Copies the built add-on, whatever the system calls a library: `node release/binary.mjs FOLDER FILE`. */

import fs from "node:fs";
import path from "node:path";

const [folder, file] = process.argv.slice(2);
const names = [
  "libletta_app_client_node.so",
  "libletta_app_client_node.dylib",
  "letta_app_client_node.dll",
];
const found = names.map((name) => path.join(folder, name)).filter((name) => fs.existsSync(name));
if (found.length !== 1) throw new Error(`${folder} has ${found.length} built add-ons`);
fs.copyFileSync(found[0], file);
console.log(`${file}: ${fs.statSync(file).size.toLocaleString("en")} bytes`);
