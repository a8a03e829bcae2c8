/** Files on the server. */

import { checkedOptions } from "./checks.js";
import { FilesFamily } from "./families.js";
import type { Caller } from "./family.js";
import { followed } from "./inbox.js";
import { CALL_NAMES, type CallOptions, checkedSignal } from "./options.js";
import { type PageOptions, pageOptions, succeeded } from "./pages.js";
import type { FileChangedMessage } from "./protocol.js";
import { Reader } from "./reader.js";

/** The changes of one file, from `client.files.changes()`; see {@link Reader}. */
export class FileChanges extends Reader<FileChangedMessage> {
  /** @internal */
  constructor(caller: Caller, path: string, { signal }: CallOptions) {
    let watched = false;
    const left = () => {
      if (watched) caller.unwatch(path);
    };
    const options = { signal, sizeOf: () => path.length, left };
    const inbox = followed<FileChangedMessage>(
      caller,
      { types: ["file_changed"] },
      options,
      (message, changes) => {
        if (message.type === "file_changed" && message.path === path) changes.push(message);
      },
    );
    super(inbox);
    // Its signal was aborted before: nothing is watched.
    if (inbox.over && checkedSignal(signal)?.aborted) return;
    try {
      caller.watch(path);
      watched = true;
    } catch (error) {
      inbox.leave();
      throw error;
    }
  }
}

/** A file or a folder in a directory. */
export interface DirectoryEntry {
  /** Its name, without the directory. */
  name: string;
  /** Which of the two it is. */
  kind: "file" | "folder";
}

/** The commands of the family `files` (section 20), and what takes more than one of them. */
export class Files extends FilesFamily {
  /**
   * Watches a file by its absolute path: sends `watch_file`, and `unwatch_file` when it is left and
   * nobody else here watches the same path. Neither is answered, so nothing says so if a path cannot be
   * watched. Gives the changes as they come; see {@link FileChanges}. With a `signal` that is already aborted
   * nothing is sent, and the first step rejects with {@link AbortError}.
   *
   * @throws at once what keeps the command from being sent, like every command of a family: {@link ClientClosed},
   * {@link Disconnected} and {@link InvalidCommand}; and {@link InvalidOption}.
   */
  changes(path: string, options: CallOptions = {}): FileChanges {
    return new FileChanges(this.caller, path, checkedOptions(options, CALL_NAMES));
  }

  /**
   * Lists a directory, by its absolute path: folders first. Asks page by page with `list_in_directory`, each
   * time when the entries before were taken; `options` apply to each page.
   *
   * Rejects with {@link RequestError} when the server refuses, and otherwise like every command of a family.
   */
  async *entries(path: string, options: PageOptions = {}): AsyncGenerator<DirectoryEntry, void> {
    const { limit, request } = pageOptions(options);
    for (let offset = 0; ; ) {
      const command = { path, include_files: true, limit, offset };
      const page = succeeded(await this.listDirectory(command, request));
      const folders = page.folders.map((name) => ({ name, kind: "folder" as const }));
      const files = (page.files ?? []).map((name) => ({ name, kind: "file" as const }));
      yield* folders;
      yield* files;
      offset += folders.length + files.length;
      if (!page.hasMore || folders.length + files.length === 0) return;
    }
  }
}
