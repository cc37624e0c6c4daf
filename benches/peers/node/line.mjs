// Says "ready", then for each number that it reads makes so many steps, and prints how long they took in nanoseconds.
import { createInterface } from "node:readline";

export async function serve(prepare, step) {
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const prepared = [];
    for (let left = Number(line); left > 0; left--) prepared.push(await prepare());
    const started = process.hrtime.bigint();
    for (const one of prepared) await step(one);
    console.log(String(process.hrtime.bigint() - started));
  }
}
