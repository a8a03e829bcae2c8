/** The types of what the live tests use of the repository's harness, which is plain JavaScript. */

export interface Live {
  info: { url: string; version: string; model: string; cwd: string };
  close(): Promise<void>;
}

/** Starts a real App Server with a scripted model. */
export async function startLive(options: { token?: string } = {}): Promise<Live> {
  const path = new URL("../../../tests/live/harness.mjs", import.meta.url).href;
  const harness = (await import(path)) as { startLive(options: object): Promise<Live> };
  return harness.startLive(options);
}
