// A login with a code in a single-page application: every step and every way in which it can end.
import type { components, operations } from "../../crates/countersign-http/types.d.ts";

type Schemas = components["schemas"];

/** The body of a response of an operation, with this status. */
type Body<
  Operation extends keyof operations,
  Status extends keyof operations[Operation]["responses"],
> = operations[Operation]["responses"][Status] extends {
  content: { "application/json": infer Json };
}
  ? Json
  : never;

/** All bodies that an operation can answer. */
type Bodies<Operation extends keyof operations> = {
  [Status in keyof operations[Operation]["responses"]]: Body<Operation, Status>;
}[keyof operations[Operation]["responses"]];

function unreachable(never: never): never {
  throw new Error(`not described: ${JSON.stringify(never)}`);
}

async function post<Operation extends keyof operations>(
  path: string,
  body: unknown,
): Promise<Bodies<Operation>> {
  const response = await fetch(`/auth${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await response.json()) as Bodies<Operation>;
}

/** What a page says about the code. */
export function delivery(status: Schemas["DeliveryStatus"]): string {
  switch (status.state) {
    case "sent":
    case "queued":
      return `A code was sent to ${status.destination}. Reference: ${status.reference}.`;
    case "perhaps_sent":
    case "made_earlier":
      return `If nothing arrives at ${status.destination}, ask for another code.`;
    case "failed":
      return `No code could be sent to ${status.destination}.`;
    case "not_made":
      return `No code was made: ${status.denied.reason}.`;
    default:
      return unreachable(status);
  }
}

type Answer = Bodies<"beginLogin"> | Bodies<"submitCode">;

/** What a page does with an answer. Answers the login that waits for a code, if one does. */
export function show(answer: Answer): string | undefined {
  if (!("step" in answer)) {
    // Refused before anything was looked at, or something broke.
    alert(answer.reason);
    return undefined;
  }
  switch (answer.step) {
    case "code_required":
      alert(delivery(answer.delivery));
      return answer.login;
    case "authenticated":
      if (answer.secrets?.backup_code) alert(answer.secrets.backup_code);
      return undefined;
    case "denied":
      alert(answer.message);
      return undefined;
    default:
      return unreachable(answer);
  }
}

export async function logIn(name: string, password: string, code: () => string): Promise<void> {
  const first: operations["beginLogin"]["requestBody"]["content"]["application/json"] = {
    name,
    password,
  };
  const login = show(await post<"beginLogin">("/login", first));
  if (login === undefined) return;
  const second: Schemas["CodeBody"] = { code: code(), trust_device: "laptop" };
  show(await post<"submitCode">(`/login/${login}/code`, second));
}

// Controls: what is not described has no type.

// @ts-expect-error There is no such step.
export const step: Schemas["LoginStep"]["step"] = "perhaps";

// @ts-expect-error The first step does not answer with a wrong code.
export const wrong: Body<"beginLogin", 403>["reason"] = "wrong_code";
export const right: Body<"submitCode", 403>["reason"] = "wrong_code";

// @ts-expect-error A number is missing.
export const method: Schemas["MethodBody"] = { method: "sms" };

// @ts-expect-error Not every step is there.
export function forgotten(step: Schemas["LoginStep"]): string {
  switch (step.step) {
    case "authenticated":
      return step.user;
  }
}

export function afterFailure(status: Schemas["DeliveryStatus"]): string {
  // @ts-expect-error A code that was not sent has no reference.
  return status.state === "failed" ? status.reference : "";
}
