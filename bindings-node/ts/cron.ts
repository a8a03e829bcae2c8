/** Scheduled prompts on the server. */

import { CronFamily } from "./families.js";
import { type PageOptions, pageOptions, succeeded } from "./pages.js";
import type { CronRunLogEntry } from "./protocol.js";

/** The commands of the family `cron` (section 20), and its list of runs as a whole. */
export class Cron extends CronFamily {
  /**
   * All runs of a scheduled prompt, in the order of the server. Asks page by page with `cron_runs`, when
   * the runs before were taken.
   *
   * Rejects with {@link RequestError} when the server refuses, and as every command of a family does.
   */
  async *allRuns(taskId: string, options: PageOptions = {}): AsyncGenerator<CronRunLogEntry, void> {
    const { limit, request } = pageOptions(options);
    for (let offset = 0; ; ) {
      const command = { task_id: taskId, limit, offset };
      const { page } = succeeded(await this.runs(command, request));
      if (!page) return;
      yield* page.entries;
      // A page that leads to itself would never end.
      if (!page.hasMore || page.nextOffset === null || page.nextOffset <= offset) return;
      offset = page.nextOffset;
    }
  }
}
