// The same login with better-auth: a password, a code by email, a session in a cookie, state in PostgreSQL.
//
//   node server.mjs DATABASE PEOPLE [unhashed]
//
// Its defaults, except: no rate limit, since all clients have one address; no telemetry; and with `unhashed`
// passwords that are compared and not hashed. It prints its port when it is ready.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { hashPassword } from "better-auth/crypto";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { twoFactor } from "better-auth/plugins";
import pg from "pg";

const [address, people, unhashed] = process.argv.slice(2);
const password = "correct horse battery staple";
const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const { port } = server.address();

const database = new pg.Pool({ connectionString: address, max: 10 });
const codes = new Map();
const options = {
  baseURL: `http://localhost:${port}`,
  secret: "a secret of thirty-two characters, at the least",
  database,
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  emailAndPassword: { enabled: true },
  plugins: [twoFactor({ otpOptions: { sendOTP: ({ user, otp }) => void codes.set(user.email, otp) } })],
};
if (unhashed) {
  options.emailAndPassword.password = {
    hash: async (typed) => typed,
    verify: async ({ hash, password: typed }) => hash === typed,
  };
}
const auth = betterAuth(options);
await (await getMigrations(options)).runMigrations();

// As for countersign: one hash for everybody.
const hash = unhashed ? password : await hashPassword(password);
await database.query(
  `INSERT INTO "user" (id, name, email, "emailVerified", "twoFactorEnabled", "createdAt", "updatedAt")
   SELECT 'person-' || n, 'person-' || n, 'person-' || n || '@acme.example', true, true, now(), now()
   FROM generate_series(1, $1::int) n`,
  [people],
);
await database.query(
  `INSERT INTO account (id, "accountId", "providerId", "userId", password, "createdAt", "updatedAt")
   SELECT 'account-' || n, 'person-' || n, 'credential', 'person-' || n, $2, now(), now()
   FROM generate_series(1, $1::int) n`,
  [people, hash],
);
await database.query(
  `INSERT INTO "twoFactor" (id, secret, "backupCodes", "userId", verified)
   SELECT 'factor-' || n, 'unused', 'unused', 'person-' || n, true FROM generate_series(1, $1::int) n`,
  [people],
);
await database.query("ANALYZE");

const handle = toNodeHandler(auth);
server.on("request", (request, response) => {
  const url = new URL(request.url, options.baseURL);
  if (url.pathname !== "/inbox.json") return handle(request, response);
  const code = codes.get(`${url.searchParams.get("user")}@acme.example`);
  response.setHeader("content-type", "application/json").end(JSON.stringify(code ? { code } : null));
});
console.log(`ready on http://127.0.0.1:${port}/`);
process.on("SIGINT", () => process.exit(0));
