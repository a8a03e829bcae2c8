/** Stands in for `letta server`: a scripted server that says where it listens and runs until it is ended. */

import { MockServer } from "@letta/app-client-native/testing";

const turns = JSON.parse(process.env.TURNS ?? '[{ "text": "a.py" }]');
const mock = await MockServer.start(turns);
console.log(`Listening on ${mock.url} (stand-in)`);
setInterval(() => {}, 1_000_000);
