import { type AppServerSocketLike, createAppServerClient } from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import { startMock } from "./helpers.js";

it("gives code written for other clients a socket", async () => {
  const mock = await startMock();
  const client = createAppServerClient({ url: mock.url });
  onTestFinished(() => client.close());
  const socket: AppServerSocketLike = client.socket;
  expect([client.control, client.stream]).toEqual([socket, socket]);
  expect(socket.readyState).toBe(0);
  const events: unknown[] = [];
  const listen = (event: unknown) => events.push(event);
  for (const type of ["open", "message", "close", "error"]) {
    socket.addEventListener?.(type, listen);
    socket.addEventListener?.(type, listen);
  }
  await client.connect();
  await client.connect();
  expect(socket.readyState).toBe(1);
  expect(events).toEqual([{ type: "open" }]);
  socket.send('{"type":"future_command"}');
  expect(await mock.waitReceived("future_command")).toBe(true);
  await client.info();
  expect(events.slice(1)).toEqual([
    { type: "message", data: expect.stringContaining("app_server_info_response") },
  ]);
  socket.removeEventListener?.("message", listen);
  await client.info();
  const lost = new Promise((resolve) => client.onDisconnect(resolve));
  mock.cutConnections();
  await lost;
  expect(events.slice(2)).toEqual([{ type: "close", code: 1006, reason: expect.any(String) }]);
  expect(socket.readyState).toBe(3);
  socket.close();
  expect(client.state).toBe("closed");
});
