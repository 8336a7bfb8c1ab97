import { beforeEach, describe, expect, it, vi } from "vitest";

import { BffProblem, createBffClient } from "../src/index.js";
import { FakeServer, openTab, pass, problem, settle } from "./support.js";

const CSRF = "X-CSRF-Token";
const ok = () => Response.json({ ok: true });

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer();
  server.logIn();
  server.on("/api/orders", ok);
});

describe("the CSRF token", () => {
  it("goes with calls that change something", async () => {
    const client = createBffClient();
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "post"]) await client.fetch("/api/orders", { method });
    const calls = server.at("/api/orders");
    expect(calls.map(({ headers }) => headers.get(CSRF))).toEqual(Array(5).fill("csrf-of-u-ada"));
    expect(server.at("/auth/session")).toHaveLength(1);
  });

  it("does not go with other calls", async () => {
    const client = createBffClient();
    for (const method of ["GET", "HEAD", "OPTIONS", undefined]) {
      await client.fetch("/api/orders", { ...(method && { method }) });
    }
    expect(server.received.map(({ headers }) => headers.get(CSRF))).toEqual([null, null, null, null]);
  });

  it("is left out if nobody is logged in", async () => {
    server.session = { authenticated: false };
    await createBffClient().fetch("/api/orders", { method: "POST" });
    expect(server.at("/api/orders")[0]?.headers.has(CSRF)).toBe(false);
  });

  it.each([
    "https://evil.example/api",
    "//evil.example/api",
    "\\\\evil.example",
    "http://app.example.com/api",
    "data:,x",
  ])("never goes to a foreign origin: %s", async (url) => {
    const client = createBffClient();
    await client.session();
    await expect(client.fetch(url, { method: "POST" })).rejects.toThrow(TypeError);
    await expect(client.fetch(url)).rejects.toThrow(TypeError);
    expect(server.received).toHaveLength(1);
  });

  it("never follows a redirect, which could lead to a foreign origin", async () => {
    const client = createBffClient();
    await client.fetch("/api/orders", { method: "POST", redirect: "follow" });
    await client.fetch("/api/orders");
    expect(server.at("/api/orders").map(({ init }) => init.redirect)).toEqual(["error", "follow"]);
  });

  it("is read anew once after a refusal", async () => {
    server.answers("/api/orders", () => problem(403, "csrf_token"), ok);
    const client = createBffClient();
    await client.session();
    server.logIn("u-ada", { csrf_token: "newer" });
    const response = await client.fetch("/api/orders", { method: "POST", body: "{}" });
    expect(response.ok).toBe(true);
    expect(server.at("/api/orders").map(({ headers }) => headers.get(CSRF))).toEqual(["csrf-of-u-ada", "newer"]);
    expect(server.at("/api/orders").map(({ init }) => init.body)).toEqual(["{}", "{}"]);
  });

  it("is not read a third time", async () => {
    server.on("/api/orders", () => problem(403, "csrf_token"));
    const response = await createBffClient().fetch("/api/orders", { method: "POST" });
    expect(response.status).toBe(403);
    expect(server.at("/api/orders")).toHaveLength(2);
  });

  it("is not part of the state", async () => {
    const tab = await openTab();
    expect(JSON.stringify(tab.state)).not.toContain("csrf");
    expect(await tab.csrfToken()).toBe("csrf-of-u-ada");
  });
});

describe("a 503 of the server", () => {
  const pending = (retryAfter = "2") => problem(503, "token_refresh_pending", {}, { "Retry-After": retryAfter });

  it("is waited for", async () => {
    server.answers(
      "/api/orders",
      () => pending(),
      () => pending("3"),
      ok,
    );
    const answer = createBffClient().fetch("/api/orders");
    await pass(1.9);
    expect(server.at("/api/orders")).toHaveLength(1);
    await pass(0.2);
    expect(server.at("/api/orders")).toHaveLength(2);
    await pass(3);
    expect((await answer).ok).toBe(true);
  });

  it("is repeated for every method, with the same body", async () => {
    server.answers("/api/orders", () => pending(), ok);
    const answer = createBffClient().fetch("/api/orders", { method: "POST", body: "text" });
    await pass(2);
    expect((await answer).ok).toBe(true);
    expect(server.at("/api/orders").map(({ init }) => init.body)).toEqual(["text", "text"]);
  });

  it("is waited for 30 seconds in all", async () => {
    server.on("/api/orders", () => pending("10"));
    const answer = createBffClient().fetch("/api/orders");
    await pass(30);
    expect((await answer).status).toBe(503);
    expect(server.at("/api/orders")).toHaveLength(4);
  });

  it("is waited for as long as the page says", async () => {
    server.on("/api/orders", () => pending("2"));
    expect((await createBffClient({ maxWait: 0 }).fetch("/api/orders")).status).toBe(503);
    expect(server.at("/api/orders")).toHaveLength(1);
  });

  it("is handed over if the server is away for long", async () => {
    server.on("/api/orders", () => pending("3600"));
    expect((await createBffClient().fetch("/api/orders")).status).toBe(503);
  });

  it("does not make the page hammer at the server", async () => {
    server.on("/api/orders", () => pending("0"));
    const answer = createBffClient().fetch("/api/orders");
    await pass(30);
    await answer;
    expect(server.at("/api/orders")).toHaveLength(31);
  });

  it("is waited for five seconds if the server does not say how long", async () => {
    server.answers("/api/orders", () => problem(503, "session_store_unavailable"), ok);
    const answer = createBffClient().fetch("/api/orders");
    await pass(4.9);
    expect(server.at("/api/orders")).toHaveLength(1);
    await pass(0.1);
    expect((await answer).ok).toBe(true);
  });

  it("is not waited for once the call is aborted", async () => {
    server.on("/api/orders", () => pending("20"));
    const abort = new AbortController();
    const answer = createBffClient().fetch("/api/orders", { signal: abort.signal });
    const failure = expect(answer).rejects.toThrow("no longer needed");
    await pass(1);
    abort.abort(new Error("no longer needed"));
    await failure;
    expect(vi.getTimerCount()).toBe(0);
    expect(server.at("/api/orders")).toHaveLength(1);
  });

  it("is not repeated if the body is a stream, which is used up", async () => {
    server.on("/api/orders", () => pending());
    const body = new ReadableStream();
    expect((await createBffClient().fetch("/api/orders", { method: "POST", body })).status).toBe(503);
    expect(server.at("/api/orders")).toHaveLength(1);
  });

  it("does not log anybody out", async () => {
    const tab = await openTab({ maxWait: 0 });
    server.on("/api/orders", () => pending());
    await tab.fetch("/api/orders");
    expect(tab.state.status).toBe("authenticated");
  });
});

describe("a 503 of the API", () => {
  it.each([
    ["without a problem document", () => new Response("busy", { status: 503 })],
    ["with a problem of its own", () => problem(503, "stock_taking")],
  ])("%s is not repeated: the API may have acted", async (_, answer) => {
    server.on("/api/orders", answer);
    expect((await createBffClient().fetch("/api/orders", { method: "POST" })).status).toBe(503);
    expect(server.at("/api/orders")).toHaveLength(1);
  });
});

describe("a 401", () => {
  it("makes the page anonymous, without a navigation", async () => {
    const onUnauthenticated = vi.fn();
    const navigate = vi.fn();
    const tab = await openTab({ onUnauthenticated, navigate });
    server.session = { authenticated: false };
    server.on("/api/orders", () => problem(401, "unauthenticated"));
    const answer = tab.fetch("/api/orders");
    await settle();
    expect((await answer).status).toBe(401);
    expect(tab.state).toMatchObject({ status: "anonymous", session: null, reason: "unknown" });
    expect(onUnauthenticated).toHaveBeenCalledExactlyOnceWith(expect.any(BffProblem));
    expect(navigate).not.toHaveBeenCalled();
  });

  it("changes nothing if the person is still logged in", async () => {
    const onUnauthenticated = vi.fn();
    const tab = await openTab({ onUnauthenticated });
    server.on("/api/orders", () => new Response("the API's own", { status: 401 }));
    const response = await tab.fetch("/api/orders");
    expect(await response.text()).toBe("the API's own");
    expect(tab.state.status).toBe("authenticated");
    expect(onUnauthenticated).not.toHaveBeenCalled();
  });

  it("finds the session of another person that has replaced this one", async () => {
    const tab = await openTab();
    const changed = vi.fn();
    tab.on("user-changed", changed);
    server.logIn("u-grace");
    server.on("/api/orders", () => problem(401, "unauthenticated"));
    await tab.fetch("/api/orders");
    expect(tab.state.session?.user.sub).toBe("u-grace");
    expect(changed).toHaveBeenCalledOnce();
  });

  it("is handed over if the server does not say who is logged in", async () => {
    const tab = await openTab();
    server.on("/auth/session", () => problem(503, "session_store_unavailable"));
    server.on("/api/orders", () => problem(401, "unauthenticated"));
    expect((await tab.fetch("/api/orders")).status).toBe(401);
    expect(tab.state).toMatchObject({ status: "authenticated", error: expect.any(BffProblem) });
  });
});

it("other answers are handed over as they are", async () => {
  for (const status of [200, 204, 400, 403, 404, 500, 502]) {
    server.on("/api/orders", () => new Response(null, { status }));
    expect((await createBffClient().fetch("/api/orders")).status).toBe(status);
  }
});
