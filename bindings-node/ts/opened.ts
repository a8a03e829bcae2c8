/** The native half of a client. Not made in its constructor, whose functions would keep the options for good. */

import { outside } from "./context.js";
import type { Bell } from "./doorbell.js";
import { translated } from "./errors.js";
import { warnOfToken } from "./insecure.js";
import { Connection } from "./native.cjs";
import { type AppServerClientOptions, nativeOptions } from "./options.js";
import { isReplay, type Replay, serveRecording } from "./recording.js";
import { AppServer } from "./server.js";

/** Makes it, without touching the network; see the module's text. `to` is what it is a client of, beside the URL. */
export function opened(
  options: AppServerClientOptions,
  to: Replay | AppServer | undefined,
  bell: Bell,
): Connection {
  const native = nativeOptions(options, isReplay(to) ? to : undefined);
  const server = AppServer.native(to);
  const connection = bell.hang((doorbell, number) =>
    outside(() => translated(() => new Connection(native, doorbell, number, server))),
  );
  if (typeof options.redact === "function") serveRecording(connection, options.redact);
  warnOfToken(connection.insecureToken(), native.url);
  return connection;
}
