/**
 * Two turns at once and a stream, while the test runner of Node fakes all timers. The first argument loads the package,
 * the second says whether before or after that.
 */

const { mock: fake } = require("node:test");

async function main(load, when) {
  if (when === "after") fake.timers.enable();
  const { connect } = await load("@letta/app-client-native");
  const { MockServer } = await load("@letta/app-client-native/testing");
  const mock = await MockServer.start([{ text: ["4", "2"] }]);
  if (when === "before") fake.timers.enable();
  const client = await connect({ url: mock.url, settlePauseMs: 0 });
  const session = await client.session({ agentId: "agent-1" });
  const results = await Promise.all([session.run("a"), session.run("b")]);
  for await (const text of session.textStream("c")) process.stdout.write(text);
  for (const { text } of results) process.stdout.write(` ${text}`);
  // A reader that waits keeps the program alive.
  const messages = client.messages({ types: ["turn_finished"] });
  const next = messages.next();
  await session.run("d");
  process.stdout.write((await next).done ? "" : " read");
  await client.close();
  await mock.close();
}

main(process.argv[2] === "require" ? require : (name) => import(name), process.argv[3]);
