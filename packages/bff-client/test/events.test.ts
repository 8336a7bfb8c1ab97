import { beforeEach, describe, expect, it, vi } from "vitest";

import type { BffClient } from "../src/index.js";
import { FakeServer, type FakeStream, openTab, pass, problem, setHidden, settle, told } from "./support.js";

let server: FakeServer;
beforeEach(() => {
  server = new FakeServer();
  server.logIn();
});

const open = () => server.streams.filter(({ isOpen }) => isOpen);
const stream = (index = 0) => server.streams[index] as FakeStream;
const RENEWED = {
  expires_at: "2026-11-23T07:30:00Z",
  token_expires_at: "2026-11-23T06:10:00Z",
  refreshed_at: "2026-11-23T06:00:00Z",
};

/** Notes every event of a client. */
function notes(client: BffClient): unknown[] {
  const heard: unknown[] = [];
  for (const type of ["session-renewed", "session-expiring", "session-ended", "user-changed"] as const) {
    client.on(type, (event) => heard.push(event));
  }
  return heard;
}

describe("the stream", () => {
  it("is opened once somebody is logged in", async () => {
    server.session = { authenticated: false };
    const tab = await openTab();
    expect(server.streams).toHaveLength(0);
    server.logIn();
    await tab.session();
    await settle();
    expect(open()).toHaveLength(1);
    expect(stream().lastId).toBeNull();
  });

  it("tells of a renewal", async () => {
    const tab = await openTab();
    const heard = notes(tab);
    await stream().send({ id: "1", event: "session-renewed", data: RENEWED });
    expect(tab.state.session).toMatchObject({ ...RENEWED, user: { sub: "u-ada" } });
    expect(heard).toEqual([{ type: "session-renewed", ...RENEWED }]);
    expect(server.at("/auth/session")).toHaveLength(1);
  });

  it("has the claims read again after the tokens were renewed", async () => {
    const tab = await openTab();
    server.logIn("u-ada", { user: { sub: "u-ada", name: "Ada King" }, refreshed_at: "2026-11-23T06:04:00Z" });
    await stream().send({ event: "session-renewed", data: { ...RENEWED, refreshed_at: "2026-11-23T06:04:00Z" } });
    expect(tab.state.session?.user.name).toBe("Ada King");
    expect(server.at("/auth/session")[1]?.url.search).toBe("?touch=false");
  });

  it("warns of the end, until the session is used", async () => {
    const tab = await openTab();
    const heard = notes(tab);
    const expiring = { expires_at: "2026-11-23T06:02:00Z", reason: "idle" } as const;
    await stream().send({ event: "session-expiring", data: expiring });
    expect(tab.state.expiring).toEqual({ type: "session-expiring", ...expiring });
    expect(tab.state.session?.expires_at).toBe(expiring.expires_at);
    expect(heard).toHaveLength(1);
    server.logIn("u-ada", { expires_at: expiring.expires_at });
    await tab.session();
    expect(tab.state.expiring).not.toBeNull();
    server.logIn("u-ada", { expires_at: "2026-11-23T07:02:00Z" });
    await tab.session({ touch: true });
    expect(tab.state.expiring).toBeNull();
  });

  it("loses its warning with a renewal", async () => {
    const tab = await openTab();
    await stream().send({ event: "session-expiring", data: { expires_at: "2026-11-23T06:02:00Z", reason: "idle" } });
    await stream().send({ event: "session-renewed", data: RENEWED });
    expect(tab.state.expiring).toBeNull();
  });

  it("tells of the end, and is not opened again", async () => {
    const tab = await openTab();
    const heard = notes(tab);
    await stream().send({ id: "", event: "session-ended", data: { reason: "provider_logout" } });
    await pass(600);
    expect(tab.state).toMatchObject({ status: "anonymous", session: null, reason: "provider_logout" });
    expect(heard).toEqual([{ type: "session-ended", reason: "provider_logout" }]);
    expect(open()).toHaveLength(0);
    expect(server.streams).toHaveLength(1);
  });

  it("tells of another session, which is read and followed", async () => {
    const tab = await openTab();
    const heard = notes(tab);
    server.logIn("u-grace");
    await stream().send({ id: "", event: "user-changed", data: {} });
    await settle();
    expect(heard).toEqual([{ type: "user-changed" }]);
    expect(tab.state.session?.user.sub).toBe("u-grace");
    expect(open()).toHaveLength(1);
    expect(stream(1).lastId).toBeNull();
  });

  it("may tell of things that this client does not know", async () => {
    const tab = await openTab();
    const before = tab.state;
    await stream().send({ event: "session-moved", data: { expires_at: "never" } });
    expect(tab.state).toBe(before);
  });

  it("may arrive in pieces, with comments and both kinds of line ends", async () => {
    const tab = await openTab();
    const text = `: a comment\n\nretry: 3000\nid: 7\n\nid: 8\r\nevent: session-renewed\r\ndata: ${JSON.stringify(RENEWED)}\r\n\r\n`;
    for (const letter of text) await stream().send(letter);
    expect(tab.state.session?.expires_at).toBe(RENEWED.expires_at);
    await stream().end();
    await pass(3);
    expect(stream(1).lastId).toBe("8");
  });
});

it("a tab that closes leaves nothing behind", async () => {
  const tabs = [await openTab({ pollIntervalMs: 1000 }), await openTab()];
  await setHidden(true);
  for (const tab of tabs) tab.close();
  await settle();
  expect(open()).toHaveLength(0);
  expect(vi.getTimerCount()).toBe(0);
});

describe("a lost connection", () => {
  it("is opened again after three seconds, with the last id", async () => {
    await openTab();
    await stream().send({ id: "sealed" });
    await stream().end();
    await pass(2.9);
    expect(server.streams).toHaveLength(1);
    await pass(0.1);
    expect(stream(1).lastId).toBe("sealed");
  });

  it("is noticed by its silence", async () => {
    await openTab();
    await pass(50);
    await stream().send(":\n\n");
    await pass(50);
    expect(open()).toHaveLength(1);
    await pass(25);
    expect(open()).toHaveLength(0);
    await pass(3);
    expect(open()).toHaveLength(1);
  });

  it("is opened again after an answer that cannot be read", async () => {
    await openTab();
    await stream().send("event: session-renewed\ndata: <html>\n\n");
    await pass(3);
    expect(open()).toHaveLength(1);
  });

  it("is not a logout while the server is away", async () => {
    const tab = await openTab();
    server.on("/auth/events", () => Promise.reject(new TypeError("offline")));
    await stream().end();
    await pass(60);
    expect(tab.state.status).toBe("authenticated");
  });
});

describe("a refusal", () => {
  it.each([
    ["429", () => problem(429, "too_many_streams", {}, { "Retry-After": "40" }), 40],
    ["503", () => problem(503, "busy", {}, { "Retry-After": "1" }), 15],
    [
      "503 of a proxy",
      () => new Response("", { status: 503, headers: { "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT" } }),
      15,
    ],
    ["502 of a proxy", () => new Response("", { status: 502 }), 15],
  ])("%s is not a logout, and the stream is tried again later", async (_, refusal, seconds) => {
    server.on("/auth/events", refusal);
    const tab = await openTab();
    await pass(seconds - 0.1);
    expect(server.at("/auth/events")).toHaveLength(1);
    await pass(0.1);
    expect(server.at("/auth/events")).toHaveLength(2);
    expect(tab.state.status).toBe("authenticated");
  });

  it("401 is the end if the session is gone", async () => {
    const tab = await openTab();
    const other = await openTab();
    server.session = { authenticated: false };
    await stream().end();
    await pass(3);
    for (const { state } of [tab, other]) expect(state).toMatchObject({ status: "anonymous", reason: "unknown" });
    await pass(60);
    expect(server.at("/auth/session")).toHaveLength(3);
  });

  it("401 is tried again if the session is there", async () => {
    server.on("/auth/events", () => problem(401, "unauthenticated"));
    const tab = await openTab();
    expect(tab.state.status).toBe("authenticated");
    await pass(15);
    expect(server.at("/auth/events")).toHaveLength(2);
  });
});

describe("the reason of an end that the page has missed", () => {
  it("is asked for with the last id", async () => {
    const tab = await openTab();
    const heard = notes(tab);
    await stream().send({ id: "sealed" });
    server.session = { authenticated: false };
    server.on("/auth/events", ({ headers }) => {
      expect(headers.get("Last-Event-ID")).toBe("sealed");
      return new Response('id:\nevent: session-ended\ndata: {"reason":"idle"}\n\n');
    });
    await tab.session();
    expect(tab.state).toMatchObject({ status: "anonymous", reason: "idle" });
    expect(heard).toEqual([{ type: "session-ended", reason: "idle" }]);
  });

  it("is not waited for before the page forgets the person", async () => {
    const tab = await openTab();
    await stream().send({ id: "sealed" });
    server.session = { authenticated: false };
    server.on("/auth/events", ({ init }) => {
      return new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    });
    const done = tab.session();
    await settle();
    expect(tab.state).toMatchObject({ status: "anonymous", session: null, reason: null });
    await pass(5);
    await done;
    expect(tab.state.reason).toBe("unknown");
  });
});

describe("several tabs", () => {
  it("share one stream", async () => {
    const tabs = [await openTab(), await openTab(), await openTab()];
    expect(server.streams).toHaveLength(1);
    await stream().send({ id: "1", event: "session-renewed", data: RENEWED });
    for (const { state } of tabs) expect(state.session?.expires_at).toBe(RENEWED.expires_at);
    await stream().send({ event: "session-ended", data: { reason: "elsewhere" } });
    for (const { state } of tabs) expect(state.reason).toBe("elsewhere");
  });

  it("hand the stream on when the leader closes, and miss nothing", async () => {
    const [first, second] = [await openTab(), await openTab()];
    await stream().send({ id: "sealed" });
    first.close();
    await settle();
    expect(open()).toHaveLength(1);
    expect(stream(1).lastId).toBe("sealed");
    await stream(1).send({ event: "session-renewed", data: RENEWED });
    expect(second.state.session?.expires_at).toBe(RENEWED.expires_at);
  });

  it("learn of a logout in one of them", async () => {
    server.on("/auth/logout", () => Response.json({ logout_url: "https://idp.example/logout" }));
    const tabs = [await openTab({ navigate: () => undefined }), await openTab({ navigate: () => undefined })];
    const heard = tabs.map(notes);
    await tabs[1]?.logout();
    await settle();
    expect(heard).toEqual(tabs.map(() => [{ type: "session-ended", reason: "logout" }]));
    expect(open()).toHaveLength(0);
  });

  it("learn of a login in one of them", async () => {
    server.session = { authenticated: false };
    const first = await openTab();
    server.logIn();
    await openTab();
    expect(first.state.status).toBe("authenticated");
    expect(open()).toHaveLength(1);
  });

  it("begin a new stream after a logout and a login", async () => {
    server.on("/auth/logout", () => Response.json({}));
    const tab = await openTab();
    await stream().send({ id: "of the former session" });
    await tab.logout();
    server.logIn("u-grace");
    await tab.session();
    await settle();
    expect(open().map(({ lastId }) => lastId)).toEqual([null]);
  });

  it("of another server are none of ours", async () => {
    await openTab();
    const other = await openTab({ baseUrl: "https://bff.example.com/api" });
    expect(server.streams.map(({ isOpen }) => isOpen)).toEqual([true, true]);
    await stream().send({ event: "session-ended", data: { reason: "logout" } });
    expect(other.state.status).toBe("authenticated");
  });

  it("may send each other nonsense", async () => {
    const tab = await openTab();
    const before = tab.state;
    const channel = new BroadcastChannel("bff https://app.example.com");
    for (const data of [null, undefined, 1, "x", {}, { event: { type: "x" } }]) channel.postMessage(data);
    expect(tab.state).toBe(before);
    channel.close();
  });
});

describe("a browser without", () => {
  it.each([
    ["locks", () => vi.stubGlobal("navigator", {})],
    ["channels", () => vi.stubGlobal("BroadcastChannel", undefined)],
    [
      "locks for this document",
      () =>
        vi.stubGlobal("navigator", {
          locks: { request: () => Promise.reject(new DOMException("no", "SecurityError")) },
        }),
    ],
  ])("%s has one stream for each tab", async (_, take) => {
    take();
    const tabs = [await openTab(), await openTab()];
    expect(open()).toHaveLength(2);
    for (const each of open()) {
      if (each.isOpen) await each.send({ event: "session-ended", data: { reason: "admin" } });
    }
    for (const { state } of tabs) expect(state.reason).toBe("admin");
  });
});

describe("a hidden page", () => {
  it("keeps the stream for five minutes, and opens it again when it is seen", async () => {
    const tab = await openTab();
    await stream().send({ id: "sealed" });
    await setHidden(true);
    for (let seconds = 0; seconds < 300; seconds += 13) {
      await pass(13);
      if (open()[0]) await stream().send(":\n\n");
    }
    expect(open()).toHaveLength(0);
    expect(server.streams).toHaveLength(1);
    await pass(3600);
    expect(server.at("/auth/session")).toHaveLength(1);
    await setHidden(false);
    expect(open()).toHaveLength(1);
    expect(stream(1).lastId).toBe("sealed");
    expect(server.at("/auth/session").map(({ url }) => url.search)).toEqual(["", "?touch=false"]);
    expect(tab.state.status).toBe("authenticated");
  });

  it("that is seen before has lost nothing", async () => {
    await openTab();
    await setHidden(true);
    await pass(60);
    await setHidden(false);
    await pass(10);
    expect(server.streams).toHaveLength(1);
    expect(open()).toHaveLength(1);
  });

  it("reads no claims while it is hidden", async () => {
    await openTab();
    await setHidden(true);
    await stream().send({ event: "session-renewed", data: { ...RENEWED, refreshed_at: "2026-11-23T06:04:00Z" } });
    expect(server.at("/auth/session")).toHaveLength(1);
  });
});

describe("a page in the cache of the back button", () => {
  it("closes the stream, and shows nothing of the person when it comes back", async () => {
    const tab = await openTab();
    window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    await settle();
    expect(open()).toHaveLength(0);
    server.session = { authenticated: false };
    window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    // At once, not only after the answer.
    expect(tab.state).toMatchObject({ status: "loading", session: null });
    await settle();
    expect(tab.state.status).toBe("anonymous");
    expect(server.at("/auth/session").at(-1)?.url.search).toBe("");
  });

  it("does nothing when it opens for the first time", async () => {
    await openTab();
    window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: false }));
    await settle();
    expect(server.at("/auth/session")).toHaveLength(1);
  });
});

it("nothing secret is stored or told to other tabs", async () => {
  server.on("/auth/logout", () => Response.json({ logout_url: "https://idp.example/logout?id_token_hint=eyJ" }));
  const setItem = vi.spyOn(Storage.prototype, "setItem");
  const tab = await openTab({ navigate: () => undefined });
  await tab.fetch("/api/orders", { method: "POST" });
  await stream().send({ id: "sealed", event: "session-renewed", data: RENEWED });
  await tab.logout();
  expect(told).toEqual([
    { login: true },
    { id: "sealed", event: { type: "session-renewed", ...RENEWED } },
    { event: { type: "session-ended", reason: "logout" }, id: "" },
  ]);
  expect(setItem).not.toHaveBeenCalled();
  expect(document.cookie).toBe("");
});
