/** The addresses of an App Server, as the engine resolves them (section 2). */

import { show } from "./checks.js";
import { InvalidOption, translated } from "./errors.js";
import type { AppServerChannel } from "./messages.js";
import { checkUrl } from "./native.cjs";

/** The text of a URL, as which everything else stays what it is. One of another realm is of another class. */
export function urlText<T>(url: T): T | string {
  const isUrl = Object.prototype.toString.call(url) === "[object URL]";
  return isUrl ? String((url as URL).href) : url;
}

/**
 * The WebSocket address of a server: `http` becomes `ws`, `https` becomes `wss`, an empty path
 * becomes `/ws`, and the query parameter `channel` is removed.
 *
 * @throws {@link InvalidOption} when a client could not be built with it.
 */
export function resolveAppServerUrl(given: string | URL): string {
  const url = urlText(given);
  if (typeof url !== "string" || !URL.canParse(url)) {
    throw new InvalidOption(`url: expected a URL, got ${show(url)}`);
  }
  // The engine is stricter than URLs are: it takes no names and passwords, for one.
  translated(() => checkUrl(url));
  const resolved = new URL(url);
  if (resolved.protocol === "http:") resolved.protocol = "ws:";
  if (resolved.protocol === "https:") resolved.protocol = "wss:";
  if (resolved.pathname === "/") resolved.pathname = "/ws";
  // Not through `searchParams`, which would write the rest of the query anew.
  resolved.search = resolved.search
    .slice(1)
    .split("&")
    .filter((pair) => pair !== "" && pair.split("=")[0] !== "channel")
    .join("&");
  return resolved.toString();
}

/**
 * The same address for either channel.
 *
 * @deprecated Channels are chosen by the engine; use {@link resolveAppServerUrl}.
 */
export function resolveAppServerChannelUrl(url: string | URL, _channel: AppServerChannel): string {
  return resolveAppServerUrl(url);
}
