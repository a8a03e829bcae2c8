/** Cancelling through signals. */

interface Watch {
  calls: Set<() => void>;
  abort: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

/**
 * Calls a function when the signal is aborted; gives what takes that back.
 *
 * All calls share one listener for each signal: Node warns of a leak when many calls of one program
 * listen to the same signal.
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const watch = watches.get(signal) ?? begin(signal);
  watch.calls.add(call);
  return () => {
    watch.calls.delete(call);
    if (watch.calls.size === 0 && watches.get(signal) === watch) {
      signal.removeEventListener("abort", watch.abort);
      watches.delete(signal);
    }
  };
}

function begin(signal: AbortSignal): Watch {
  const calls = new Set<() => void>();
  const abort = () => {
    watches.delete(signal);
    for (const call of calls) call();
  };
  const watch = { calls, abort };
  watches.set(signal, watch);
  signal.addEventListener("abort", abort, { once: true });
  return watch;
}
