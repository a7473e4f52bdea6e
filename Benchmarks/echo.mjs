// A plain JSON-lines echo in Node: parses each line, answers it with an empty result.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const { id } = JSON.parse(line);
  process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result: {} }) + "\n");
}
