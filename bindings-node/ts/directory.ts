/** The directory a conversation works in: what is asked for, and what the server shows of it. */

import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { AppServerClient } from "./client.js";
import { InvalidOption } from "./errors.js";
import { rawText } from "./messages.js";
import { DirectoryChange } from "./native.cjs";
import type { CallOptions } from "./options.js";
import type { RuntimeScope } from "./protocol.js";
import { clearTimeout, setTimeout } from "./timers.js";

/**
 * Sends a change, and waits for as long as the engine says until the server shows the directory; `undefined` where it
 * does not.
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
  const [wait, sent] = [new DirectoryChange(), performance.now()];
  const elapsed = () => performance.now() - sent;
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void statuses.return(), wait.until - elapsed());
  };
  try {
    change();
    look();
    for await (const frame of statuses) {
      const folder = wait.frame(elapsed(), rawText(frame) ?? "");
      if (folder !== null && isAt(folder, wanted)) return folder;
      look();
    }
  } finally {
    clearTimeout(timer);
    void statuses.return();
  }
  return undefined;
}

/**
 * How a path begins at a root of another system, as that of a server in a WSL does for Windows: here it would be made
 * part of something else.
 */
const ELSEWHERE = process.platform === "win32" ? /^\/(?!\/)/ : /^[A-Za-z]:[\\/]/;

/** A path the server understands. */
export function absolute(path: string): string {
  if (typeof path !== "string") {
    throw new InvalidOption(`cwd: expected a string, got ${String(path)}`);
  }
  return ELSEWHERE.test(path) ? path : resolve(path);
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
