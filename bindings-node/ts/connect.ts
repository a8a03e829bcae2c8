/** How clients are made. */

import { checkedNames, checkedObject } from "./checks.js";
import { AppServerClient } from "./client.js";
import { InvalidOption } from "./errors.js";
import { meant } from "./meant.js";
import {
  type AppServerClientOptions,
  CALL_NAMES,
  type CallOptions,
  CLIENT_NAMES,
} from "./options.js";
import { isReplay, type Replay } from "./recording.js";
import { type AppServer, isServer } from "./server.js";
import { urlText } from "./url.js";

/**
 * What `connect` takes besides a server of your own or a recording: the options of the client, and the `signal`
 * that cancels the attempt.
 */
export interface ConnectSettings
  extends Partial<Omit<AppServerClientOptions, "url">>,
    CallOptions {}

/**
 * A client that is not connected yet; `await client.connect()` connects it.
 *
 * @throws {@link InvalidOption} for an option that is unknown or has an unusable value; the message names it.
 */
export function createAppServerClient(options: AppServerClientOptions): AppServerClient {
  return new AppServerClient(optionsFor(options), isServer(options) ? options : undefined);
}

function optionsFor(
  target: string | URL | AppServer | AppServerClientOptions,
): AppServerClientOptions {
  const url = urlText(target);
  if (typeof url === "string") return { url };
  if (isServer(target)) return { url: target.url, authToken: target.authToken };
  return target as AppServerClientOptions;
}

/**
 * Makes a client and connects it: `await using client = await connect("ws://127.0.0.1:4500")`. All options of
 * the client go into one object, including the URL: `connect({ url, authToken })`. Rejects as
 * {@link AppServerClient.connect} does, and with {@link InvalidOption}.
 */
export function connect(
  target: string | URL | AppServerClientOptions,
  options?: CallOptions,
): Promise<AppServerClient>;
/**
 * The same for a server of your own ({@link spawnAppServer}), whose URL and token are used, or for a recording
 * in place of a server ({@link replay}). The options of the client come second:
 * `connect(server, { requestTimeoutMs })`.
 */
export function connect(
  target: AppServer | Replay,
  options?: ConnectSettings,
): Promise<AppServerClient>;
export function connect(
  target: string | URL | AppServer | AppServerClientOptions | Replay,
  options?: CallOptions,
): Promise<AppServerClient>;
export async function connect(
  target: string | URL | AppServer | AppServerClientOptions | Replay,
  options: ConnectSettings = {},
): Promise<AppServerClient> {
  const { signal, ...settings } = checkedObject("options", options);
  const client = clientFor(target, settings);
  try {
    return await client.connect({ signal });
  } catch (error) {
    await client.close();
    throw error;
  }
}

function clientFor(
  target: string | URL | AppServer | AppServerClientOptions | Replay,
  settings: ConnectSettings,
): AppServerClient {
  if (isReplay(target)) {
    checkedNames(settings, CLIENT_NAMES);
    return new AppServerClient({ url: "ws://replay", ...settings }, target);
  }
  if (isServer(target)) {
    checkedNames(settings, CLIENT_NAMES);
    const { url, authToken } = target;
    return new AppServerClient(
      { ...settings, url, authToken: settings.authToken ?? authToken },
      target,
    );
  }
  return made(target, settings);
}

function made(
  target: string | URL | AppServerClientOptions,
  settings: ConnectSettings,
): AppServerClient {
  for (const [name, value] of Object.entries(settings)) {
    const option = Object.hasOwn(CLIENT_NAMES, name)
      ? name
      : meant(name, Object.keys(CLIENT_NAMES));
    if (value === undefined || option === undefined) continue;
    const hint = `the options of a client are one object: connect({ url, ${option} })`;
    throw new InvalidOption(`${name}: there is no such option next to the URL`, { hint });
  }
  checkedNames(settings, CALL_NAMES);
  return new AppServerClient(optionsFor(target));
}
