// One check of a password by @node-rs/argon2, on this thread: argon2id, 19 MiB, 2 passes, 1 lane.
import { Algorithm, hashSync, verifySync } from "@node-rs/argon2";
import { serve } from "./line.mjs";

const password = "correct horse battery staple";
const hash = hashSync(password, { memoryCost: 19456, timeCost: 2, parallelism: 1, algorithm: Algorithm.Argon2id });
await serve(
  () => hash,
  (saved) => {
    if (!verifySync(saved, password)) throw new Error("the password is right");
  },
);
