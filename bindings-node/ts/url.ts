/** The addresses of an App Server, as the engine resolves them (section 2). */

import { InvalidOption } from "./errors.js";
import type { AppServerChannel } from "./messages.js";

/**
 * The WebSocket address of a server: `http` becomes `ws`, `https` becomes `wss`, an empty path
 * becomes `/ws`, and the query parameter `channel` is removed.
 *
 * @throws {@link InvalidOption} when it is no URL or has another scheme.
 */
export function resolveAppServerUrl(url: string): string {
  if (!URL.canParse(url)) {
    throw new InvalidOption(`url: expected a URL, got ${JSON.stringify(url)}`);
  }
  const resolved = new URL(url);
  switch (resolved.protocol) {
    case "ws:":
    case "wss:":
      break;
    case "http:":
      resolved.protocol = "ws:";
      break;
    case "https:":
      resolved.protocol = "wss:";
      break;
    default: {
      const scheme = resolved.protocol.slice(0, -1);
      throw new InvalidOption(`url: expected ws, wss, http or https, got scheme "${scheme}"`);
    }
  }
  if (resolved.pathname === "" || resolved.pathname === "/") resolved.pathname = "/ws";
  resolved.searchParams.delete("channel");
  return resolved.toString();
}

/**
 * The same address for either channel.
 *
 * @deprecated Channels are chosen by the engine; use {@link resolveAppServerUrl}.
 */
export function resolveAppServerChannelUrl(url: string, _channel: AppServerChannel): string {
  return resolveAppServerUrl(url);
}
