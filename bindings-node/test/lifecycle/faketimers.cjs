/** Two turns at once and a stream, while the test runner of Node fakes all timers. The argument loads the package. */

const { mock: fake } = require("node:test");

async function main(load) {
  const { connect } = await load("@letta/app-client-native");
  const { MockServer } = await load("@letta/app-client-native/testing");
  const mock = await MockServer.start([{ text: ["4", "2"] }]);
  fake.timers.enable();
  const client = await connect({ url: mock.url, settlePauseMs: 0 });
  const session = await client.session({ agentId: "agent-1" });
  const results = await Promise.all([session.run("a"), session.run("b")]);
  for await (const text of session.textStream("c")) process.stdout.write(text);
  for (const { text } of results) process.stdout.write(` ${text}`);
  await client.close();
  await mock.close();
}

main(process.argv[2] === "require" ? require : (name) => import(name));
