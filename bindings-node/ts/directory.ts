/** The directory a conversation works in: what is asked for, and what the server shows of it. */

import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { AppServerClient } from "./client.js";
import { InvalidOption } from "./errors.js";
import type { CallOptions } from "./options.js";
import type { RuntimeScope } from "./protocol.js";
import { clearTimeout, setTimeout } from "./timers.js";

/** In so many milliseconds a server shows that it has handled a change; it takes some. */
const HANDLED_MS = 2_000;

/** And so long after that the directory: what was handled may have been a change before this one. */
const SHOWN_MS = 250;

/**
 * Sends a change, and waits until the server shows the directory; `undefined` where it does not.
 *
 * It says that it works on a command, then how the device is or an error, and that it does not work any more
 * (section 12). While a turn runs it says nothing of the kind but how the device is.
 */
export async function shown(
  client: AppServerClient,
  runtime: RuntimeScope,
  change: () => void,
  wanted: string,
  { signal }: CallOptions,
): Promise<string | undefined> {
  const types = ["update_device_status", "update_loop_status"] as const;
  const statuses = client.messages({ types, runtime, signal });
  const end = () => void statuses.return();
  const timer = setTimeout(end, HANDLED_MS);
  let shows: NodeJS.Timeout | undefined;
  let begun = false;
  try {
    change();
    for await (const frame of statuses) {
      if (frame.type === "update_device_status") {
        const folder = frame.device_status?.current_working_directory;
        if (folder && isAt(folder, wanted)) return folder;
      } else if (frame.loop_status?.status === "EXECUTING_COMMAND") {
        begun = true;
        // That one may be the change.
        clearTimeout(shows);
      } else if (begun) {
        begun = false;
        shows = setTimeout(end, SHOWN_MS);
      }
    }
  } finally {
    clearTimeout(timer);
    clearTimeout(shows);
    end();
  }
  return undefined;
}

/** A path the server understands. */
export function absolute(path: string): string {
  if (typeof path !== "string") {
    throw new InvalidOption(`cwd: expected a string, got ${String(path)}`);
  }
  return resolve(path);
}

/** Whether it is that directory: the server tells it without symbolic links. */
export function isAt(found: string, wanted: string): boolean {
  return found === wanted || found === real(wanted);
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
