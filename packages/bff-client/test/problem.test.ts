import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { ApiError, BffProblem, errorOf } from "../src/index.js";
import { problem } from "./support.js";

describe("errorOf", () => {
  it("reads a refusal of the server with its members", async () => {
    const members = { detail: "Log in.", login_url: "/auth/login", acr_values: "gold", max_age: 60 };
    const error = await errorOf(problem(401, "step_up_required", members, { "Retry-After": "7" }));
    expect(error).toBeInstanceOf(BffProblem);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      name: "BffProblem",
      status: 401,
      code: "step_up_required",
      message: "Log in.",
      correlationId: "c-1",
      retryAfter: 7,
      problem: members,
    });
  });

  it("leaves the body readable", async () => {
    const response = problem(403, "csrf_token");
    await errorOf(response);
    expect(await response.json()).toMatchObject({ code: "csrf_token" });
  });

  it.each([
    ["text", new Response("no", { status: 500, headers: { "X-Correlation-ID": "c-2" } })],
    [
      "JSON that is no problem document",
      Response.json({ code: "csrf_token" }, { status: 500, headers: { "X-Correlation-ID": "c-2" } }),
    ],
    [
      "a document that is no JSON",
      new Response("<", {
        status: 500,
        headers: { "Content-Type": "application/problem+json", "X-Correlation-ID": "c-2" },
      }),
    ],
    [
      "a problem document without a code",
      new Response("{}", {
        status: 500,
        headers: { "Content-Type": "application/problem+json", "X-Correlation-ID": "c-2" },
      }),
    ],
  ])("takes %s for an error of the API", async (_, response) => {
    const error = await errorOf(response);
    expect(error).not.toBeInstanceOf(BffProblem);
    expect(error).toMatchObject({
      name: "ApiError",
      status: 500,
      message: "HTTP 500",
      code: undefined,
      correlationId: "c-2",
    });
  });

  it("ignores a Retry-After that is no number of seconds", async () => {
    for (const [field, seconds] of [
      ["0", 0],
      ["-1", undefined],
      ["Wed, 21 Oct 2026 07:28:00 GMT", undefined],
      ["", undefined],
    ] as const) {
      expect(await errorOf(problem(503, "busy", {}, { "Retry-After": field }))).toMatchObject({ retryAfter: seconds });
    }
  });
});

it("knows the codes of docs/errors.md", () => {
  const codes = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), ([, code]) => code).sort();
  const read = (path: string) => readFileSync(join(import.meta.dirname, path), "utf8");
  const document = read("../../../docs/errors.md");
  const source = read("../src/codes.ts");
  const documented = codes(document, /^\| \d{3} \| `(\w+)` \|/gm);
  expect(documented.length).toBeGreaterThan(40);
  expect(codes(source, /^ {2}\| "(\w+)"/gm)).toEqual(documented);
});
