import { inspect } from "node:util";
import {
  type AppServerClientOptions,
  connect,
  createAppServerClient,
  InvalidOption,
  type LettaAppError,
  spawnAppServer,
} from "@letta/app-client-native";
import { expect, it } from "vitest";
import { connected, nextWarning, rawServer, rejection, startMock } from "./helpers.js";

const TOKEN = "s3cret-t0ken";

// A server, or a proxy that reports what it got, may repeat the token anywhere.
const ANSWERS: Record<string, string> = {
  401: `HTTP/1.1 401 no ${TOKEN}\r\n\r\n{"error":"not ${TOKEN}"}`,
  403: `HTTP/1.1 403 Forbidden for ${TOKEN}\r\n\r\n`,
  404: `HTTP/1.1 404 ${TOKEN}\r\n\r\n`,
  redirect: `HTTP/1.1 302 Found\r\nLocation: ws://h/?token=${TOKEN}\r\n\r\n`,
  "no HTTP": TOKEN,
  "wrong accept": `HTTP/1.1 101 Hi\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${TOKEN}\r\n\r\n`,
};

/** Everything that is told of a failed connect, in all forms. */
async function told(options: Partial<AppServerClientOptions>): Promise<string> {
  const all = { url: "ws://127.0.0.1", authToken: TOKEN, ...options };
  const error = (await rejection(connect(all))) as LettaAppError;
  const forms = [String(error), error.stack, error.hint, JSON.stringify(error)];
  return [...forms, inspect(error, { depth: null, showHidden: true })].join("\n");
}

it("no failure to connect shows the token", async () => {
  const mock = await startMock({ token: "another" });
  const nobody = await startMock();
  await nobody.close();
  const urls: Record<string, string> = {
    refused: `${nobody.url}/?token=${TOKEN}`,
    "wrong token": mock.url,
    "wrong path": `${mock.url}/elsewhere?token=${TOKEN}`,
    userinfo: `ws://user:${TOKEN}@127.0.0.1`,
    "no scheme": `user:${TOKEN}@127.0.0.1`,
    "bad host": `ws://ho st/?token=${TOKEN}`,
  };
  for (const [name, answer] of Object.entries(ANSWERS)) {
    const port = await rawServer((socket) => socket.on("data", () => socket.end(answer)));
    urls[name] = `ws://127.0.0.1:${port}/?token=${TOKEN}`;
    urls[`${name}, TLS`] = `wss://127.0.0.1:${port}/?token=${TOKEN}`;
  }
  for (const [name, url] of Object.entries(urls)) {
    expect(await told({ url }), name).not.toContain(TOKEN);
  }
  const { url } = mock;
  const wrong = [
    { authToken: [TOKEN] },
    { url: new URL(`${url}?token=${TOKEN}`) },
    { authToken: `${TOKEN}\nx` },
    { transport: "x" },
  ];
  for (const options of wrong as Partial<AppServerClientOptions>[]) {
    expect(await told({ url, ...options })).not.toContain(TOKEN);
  }
});

it("what is given in place of options is not shown", async () => {
  const refused = (call: Promise<unknown>, name: string) =>
    expect(call).rejects.toThrow(new InvalidOption(`${name}, got string`));
  await refused(connect("ws://127.0.0.1:1", TOKEN as never), "options: expected an object");
  await refused(spawnAppServer({ env: TOKEN as never }), "env: expected an object");
  const listed = spawnAppServer({ env: { LETTA_API_KEY: [TOKEN] as never } });
  const message = "env.LETTA_API_KEY: expected a string, got object";
  await expect(listed).rejects.toThrow(new InvalidOption(message));
});

it("nothing that is inspected shows the token", async () => {
  const mock = await startMock({ token: TOKEN });
  const client = await connected(mock, { url: `${mock.url}?token=${TOKEN}`, authToken: TOKEN });
  for (const thing of [client, client.stats, client.serverInfo, client.socket]) {
    expect(inspect(thing, { depth: null, showHidden: true })).not.toContain(TOKEN);
    expect(JSON.stringify(thing)).not.toContain(TOKEN);
  }
});

it("warns of a token in clear over a network, once for each server", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on("warning", listen);
  const first = nextWarning("AppClientInsecureTokenWarning");
  for (const url of ["ws://one.invalid", "ws://one.invalid", "ws://two.invalid:4500"]) {
    await createAppServerClient({ url, authToken: TOKEN }).close();
  }
  for (const url of ["ws://127.0.0.1", "ws://[::1]", "ws://x.localhost", "wss://h"]) {
    await createAppServerClient({ url, authToken: TOKEN }).close();
  }
  await createAppServerClient({ url: "ws://three.invalid" }).close();
  await first;
  await new Promise(setImmediate);
  process.off("warning", listen);
  const insecure = warnings.filter(({ name }) => name === "AppClientInsecureTokenWarning");
  expect(insecure.map(({ message }) => message.match(/\w+\.invalid:\d+/)?.[0])).toEqual([
    "one.invalid:80",
    "two.invalid:4500",
  ]);
  expect(inspect(insecure)).not.toContain(TOKEN);
});
