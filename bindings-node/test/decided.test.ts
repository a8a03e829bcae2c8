/** What a session keeps of the decisions on permissions. */

import { policy } from "@letta/app-client-native";
import { expect, it } from "vitest";
import type { AuditEntry } from "../ts/audit.js";
import { Decided } from "../ts/decided.js";
import { connected, startMock } from "./helpers.js";

const MOST = 4096;
const HALF = 32 * 1024 * 1024;

function keep(decided: Decided, id: number, bytes = 0): void {
  const input = { text: "x".repeat(bytes) };
  decided.keep({ requestId: String(id), input } as unknown as AuditEntry);
}

const kept = (decided: Decided) => decided.entries.map(({ requestId }) => Number(requestId));

it("keeps the latest decisions and counts the others", () => {
  const decided = new Decided();
  for (let id = 0; id < MOST + 3; id += 1) keep(decided, id);
  expect(kept(decided)).toEqual(Array.from({ length: MOST }, (_, index) => index + 3));
  expect(decided.dropped).toBe(3);
});

it("lets long questions go sooner, but never the last one", () => {
  const decided = new Decided();
  for (let id = 0; id < 3; id += 1) keep(decided, id, HALF);
  expect([kept(decided), decided.dropped]).toEqual([[2], 2]);
  keep(decided, 3);
  expect(kept(decided)).toEqual([2, 3]);
  keep(decided, 4, 2 * HALF);
  expect([kept(decided), decided.dropped]).toEqual([[4], 4]);
});

it("says of a session how many went", async () => {
  const toolCalls = [{ name: "Write", needsApproval: true }];
  const mock = await startMock({ turns: [{ text: "done", toolCalls }] });
  const client = await connected(mock);
  const session = await client.session({
    agentId: "a",
    onApproval: policy.firstMatch(policy.allow("Write")),
  });
  await session.run("?");
  expect(session.approvals).toHaveLength(1);
  expect(session.approvalsDropped).toBe(0);
});
