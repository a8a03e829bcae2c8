/** Warns of tokens that others can read on their way. */

const warned = new Set<string>();

/** Reports what the engine says of the token as a process warning, once for each server. */
export function warnOfToken(reason: string | null, url: string): void {
  const host = reason === null ? "" : new URL(url).host;
  if (reason === null || warned.has(host)) return;
  warned.add(host);
  process.emitWarning(reason, { type: "AppClientInsecureTokenWarning" });
}
