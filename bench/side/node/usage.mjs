/** What this process and its main thread have used, as every peer reports it. */

import fs from "node:fs";

/** A figure of `/proc/self/status`. */
export function statusKib(name) {
  const line = fs.readFileSync("/proc/self/status", "utf8").split("\n");
  return Number(line.find((it) => it.startsWith(name)).split(/\s+/)[1]);
}

/** Seconds that the main thread has run, whose number is that of the process. */
function threadSeconds() {
  const path = `/proc/self/task/${process.pid}/schedstat`;
  return Number(fs.readFileSync(path, "utf8").split(" ")[0]) / 1e9;
}

/** A moment of a measurement. */
export class Usage {
  #wall = performance.now();
  #cpu = process.cpuUsage();
  #thread = threadSeconds();

  /** Prints what was used since then, and the median of the times of single calls, in microseconds. */
  report(units, times) {
    const { user, system } = process.cpuUsage(this.#cpu);
    const sorted = times?.toSorted((a, b) => a - b);
    console.log(
      JSON.stringify({
        units,
        wall: (performance.now() - this.#wall) / 1e3,
        cpu: (user + system) / 1e6,
        thread: threadSeconds() - this.#thread,
        peak_kib: statusKib("VmHWM:"),
        p50_us: sorted ? sorted[sorted.length >> 1] : null,
      }),
    );
  }
}
