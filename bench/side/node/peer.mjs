/** A Node client: `peer.mjs CLIENT URL WORKLOAD SIZES`; see `workloads.py`. */

import { clients } from "./clients.mjs";
import { idle, workloads } from "./workloads.mjs";

const [name, url, workload, sizes] = process.argv.slice(2);
const connect = () => clients[name](url);
if (workload === "idle") {
  await idle(connect, JSON.parse(sizes));
} else {
  const client = await connect();
  await workloads[workload](client, JSON.parse(sizes));
  await client.close();
}
