#!/bin/sh
# Puts an optimised build of the Node package into a folder of its own: `package.sh FOLDER`.
set -e
package="$1/node_modules/@letta/app-client-native"
cd "$(dirname "$0")/../../../bindings-node"
rm -rf "$package"
mkdir -p "$package"
npx napi build --release --platform --no-js --dts ts/binding.d.cts --output-dir "$package"
cp "$package/ts/binding.d.cts" ts/binding.d.cts
npm run --silent build:ts
cp -r package.json dist "$package"
