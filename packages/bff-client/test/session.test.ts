import { beforeEach, describe, expect, it, vi } from "vitest";

import { ApiError, createBffClient } from "../src/index.js";
import { FakeServer, openTab, pass, problem, setHidden, settle } from "./support.js";

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer();
});
const asked = () => server.at("/auth/session").map(({ url }) => url.search);

describe("a page that opens", () => {
  it("knows nothing until the server has answered", () => {
    const client = createBffClient();
    expect(client.state).toEqual({ status: "loading", session: null, reason: null, expiring: null, error: null });
    expect(server.received).toEqual([]);
  });

  it("learns who is logged in, which counts as use of the session", async () => {
    server.logIn();
    const tab = await openTab();
    expect(tab.state.status).toBe("authenticated");
    expect(tab.state.session).toEqual({
      user: { sub: "u-ada", name: "Ada Lovelace" },
      expires_at: "2026-11-23T07:00:00Z",
      token_expires_at: "2026-11-23T06:05:00Z",
      refreshed_at: "2026-11-23T06:00:00Z",
    });
    expect(asked()).toEqual([""]);
    expect(server.received[0]?.init).toMatchObject({ cache: "no-store", credentials: "include" });
  });

  it("learns that nobody is logged in, and why", async () => {
    server.session = { authenticated: false, reason: "session_binding" };
    const tab = await openTab();
    expect(tab.state).toMatchObject({ status: "anonymous", session: null, reason: "session_binding" });
  });

  it("asks again after a failure, when the server says so", async () => {
    server.answers(
      "/auth/session",
      () => problem(503, "session_store_unavailable", {}, { "Retry-After": "20" }),
      () => new Response("", { status: 502 }),
      () => Response.json(server.session),
    );
    server.logIn();
    const tab = await openTab();
    expect(tab.state).toMatchObject({ status: "loading", error: expect.objectContaining({ status: 503 }) });
    await pass(19.9);
    expect(asked()).toHaveLength(1);
    await pass(0.1);
    expect(tab.state.error).toBeInstanceOf(ApiError);
    await pass(5);
    expect(tab.state).toMatchObject({ status: "authenticated", error: null });
  });

  it("keeps the last known state while the server fails", async () => {
    server.logIn();
    const tab = await openTab();
    server.on("/auth/session", () => Promise.reject(new TypeError("offline")));
    await setHidden(false);
    expect(tab.state).toMatchObject({
      status: "authenticated",
      error: expect.objectContaining({ message: "offline" }),
    });
  });

  it("asks nothing more after its end", async () => {
    server.on("/auth/session", () => Promise.reject(new TypeError("offline")));
    const tab = await openTab({ pollIntervalMs: 1000 });
    tab.close();
    tab.close();
    await pass(600);
    await setHidden(false);
    expect(asked()).toHaveLength(1);
  });

  it("asks once, also if it is started twice", async () => {
    const tab = await openTab();
    const stop = tab.start();
    await settle();
    expect(asked()).toHaveLength(1);
    stop();
    stop();
    await setHidden(false);
    expect(asked()).toHaveLength(2);
  });
});

describe("session()", () => {
  it("answers with the session", async () => {
    server.logIn();
    const client = createBffClient();
    expect(await client.session()).toMatchObject({ user: { sub: "u-ada" } });
    server.session = { authenticated: false };
    expect(await client.session()).toBeNull();
  });

  it("counts as use only if it should", async () => {
    const client = createBffClient();
    await client.session({ touch: true });
    await client.session({ touch: false });
    await client.session();
    expect(asked()).toEqual(["", "?touch=false", "?touch=false"]);
  });

  it("shares a request under way", async () => {
    const client = createBffClient();
    await Promise.all([client.session(), client.session(), client.session()]);
    expect(asked()).toHaveLength(1);
  });

  it("fails as the server does", async () => {
    server.on("/auth/session", () => problem(503, "overloaded"));
    await expect(createBffClient().session()).rejects.toMatchObject({ code: "overloaded" });
  });

  it("believes no answer from before the end of the session", async () => {
    server.logIn();
    const tab = await openTab();
    let release: (response: Response) => void = () => undefined;
    server.answers(
      "/auth/session",
      () => new Promise<Response>((resolve) => (release = resolve)) as never,
      () => Response.json({ authenticated: false }),
    );
    const late = tab.session();
    await server.streams[0]?.send({ event: "session-ended", data: { reason: "admin" } });
    release(Response.json(server.session));
    expect(await late).toBeNull();
    expect(tab.state).toMatchObject({ status: "anonymous", reason: "admin" });
  });
});

describe("a change of the person", () => {
  it("is told before the new person is shown", async () => {
    server.logIn();
    const tab = await openTab();
    const seen: unknown[] = [];
    tab.on("user-changed", () => seen.push(tab.state.session));
    tab.subscribe(() => seen.push(tab.state.session?.user.sub ?? tab.state.status));
    server.logIn("u-grace");
    await tab.session();
    expect(seen).toEqual(["loading", null, "u-grace"]);
  });
});

describe("polling", () => {
  it("is off unless it is asked for", async () => {
    await openTab();
    await pass(3600);
    expect(asked()).toHaveLength(1);
  });

  it("does not count as use, and pauses while the page is hidden", async () => {
    const tab = await openTab({ pollIntervalMs: 300_000 });
    await pass(600);
    expect(asked()).toEqual(["", "?touch=false", "?touch=false"]);
    await setHidden(true);
    await pass(600);
    expect(asked()).toHaveLength(3);
    tab.close();
  });
});

it("a listener hears nothing more once it is removed", async () => {
  const client = createBffClient();
  const [state, event] = [vi.fn(), vi.fn()];
  const stops = [client.subscribe(state), client.on("session-ended", event)];
  server.logIn();
  await client.session();
  expect(state).toHaveBeenCalledOnce();
  for (const stop of stops) stop();
  server.session = { authenticated: false };
  await client.session();
  expect(state).toHaveBeenCalledOnce();
  expect(event).not.toHaveBeenCalled();
});
