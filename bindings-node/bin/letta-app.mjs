#!/usr/bin/env node
import "../dist/cjs/cli.js";
