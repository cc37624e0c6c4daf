// A login's code with better-auth on its memory adapter: send it, and verify it, which makes a session. The password before
// that is compared, not hashed, and not in the time. Its defaults, except: no rate limit, no telemetry. One user; the tables
// that grow are emptied before each batch.
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { twoFactor } from "better-auth/plugins";
import { serve } from "./line.mjs";

const tables = { user: [], session: [], account: [], verification: [], twoFactor: [] };
let code;
const auth = betterAuth({
  baseURL: "http://localhost:3000",
  secret: "a secret of thirty-two characters, at the least",
  database: memoryAdapter(tables),
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  emailAndPassword: {
    enabled: true,
    password: { hash: async (typed) => typed, verify: async ({ hash, password }) => hash === password },
  },
  plugins: [twoFactor({ otpOptions: { sendOTP: ({ otp }) => void (code = otp) } })],
});
const email = "alice@acme.example";
const password = "correct horse battery staple";
await auth.api.signUpEmail({ body: { email, password, name: "Alice" } });
const [user] = tables.user;
user.twoFactorEnabled = true;
tables.twoFactor.push({ id: "1", userId: user.id, secret: "unused", backupCodes: "unused", verified: true });

async function begun() {
  const response = await auth.api.signInEmail({ body: { email, password }, asResponse: true });
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  return new Headers({ cookie: cookies.join("; ") });
}

let first = true;
await serve(
  async () => {
    if (first) [tables.session, tables.verification].forEach((table) => void (table.length = 0));
    first = false;
    return begun();
  },
  async (headers) => {
    first = true;
    await auth.api.sendTwoFactorOTP({ headers, body: {} });
    const { token } = await auth.api.verifyTwoFactorOTP({ headers, body: { code } });
    if (!token) throw new Error("the code is right");
  },
);
