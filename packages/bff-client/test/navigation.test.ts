import { beforeEach, describe, expect, it, vi } from "vitest";

import { type BffClientOptions, BffProblem, createBffClient } from "../src/index.js";
import { FakeServer, openTab, ORIGIN, problem, told } from "./support.js";

const HERE = "/orders?open=1#top";

let server: FakeServer;
const navigate = vi.fn();
const client = (options: BffClientOptions = {}) => createBffClient({ navigate, ...options });
beforeEach(() => {
  navigate.mockReset();
  server = new FakeServer();
  server.logIn();
});

describe("login", () => {
  it("comes back to the present address", () => {
    client().login();
    expect(navigate).toHaveBeenCalledExactlyOnceWith(`${ORIGIN}/auth/login?return_to=${encodeURIComponent(HERE)}`);
  });

  it("comes back to the address of the page if the server has another origin", () => {
    client({ baseUrl: "https://bff.example.com/api" }).login();
    const url = new URL(navigate.mock.calls[0]?.[0] as string);
    expect(url.origin).toBe("https://bff.example.com");
    expect(url.searchParams.get("return_to")).toBe(ORIGIN + HERE);
  });

  it("passes its parameters on, encoded", () => {
    client().login("/a?b=c&prompt=none", { prompt: "login", max_age: 60, ui_locales: "de fr" });
    const { searchParams } = new URL(navigate.mock.calls[0]?.[0] as string);
    expect(Object.fromEntries(searchParams)).toEqual({
      return_to: "/a?b=c&prompt=none",
      prompt: "login",
      max_age: "60",
      ui_locales: "de fr",
    });
  });

  it("navigates by itself", () => {
    const assign = vi.fn();
    vi.stubGlobal("location", { origin: ORIGIN, href: ORIGIN + HERE, assign });
    createBffClient().login("/");
    expect(assign).toHaveBeenCalledExactlyOnceWith(`${ORIGIN}/auth/login?return_to=%2F`);
  });
});

describe("a step-up", () => {
  const demand = (login_url: string | undefined) =>
    problem(401, "step_up_required", { login_url, acr_values: "gold", max_age: 60 });
  const callFor = async (login_url: string | undefined, options: BffClientOptions = {}) => {
    server.on("/api/pay", () => demand(login_url));
    return client(options).fetch("/api/pay", { method: "POST" });
  };

  it("navigates to the login that the API demands", async () => {
    expect((await callFor("/auth/login?acr_values=gold&max_age=60&return_to=%2Fcart")).status).toBe(401);
    expect(navigate).toHaveBeenCalledExactlyOnceWith(
      `${ORIGIN}/auth/login?acr_values=gold&max_age=60&return_to=%2Fcart`,
    );
  });

  it("comes back to the page also if the server does not know it", async () => {
    await callFor("/auth/login?max_age=60");
    const { searchParams } = new URL(navigate.mock.calls[0]?.[0] as string);
    expect(Object.fromEntries(searchParams)).toEqual({ max_age: "60", return_to: HERE });
  });

  it.each([
    "https://evil.example/auth/login",
    "//evil.example/auth/login",
    "/\\evil.example/auth/login",
    "\\\\evil.example/auth/login",
    "http://app.example.com/auth/login",
    "https://app.example.com:8443/auth/login",
    "https://app.example.com@evil.example/auth/login",
    "javascript:alert(1)",
    "data:text/html,x",
    "blob:https://app.example.com/auth/login",
    "/auth/logout",
    "/auth/login/../../orders",
    "/auth/login/x",
    "https://",
    "",
    undefined,
  ])("never navigates to %j", async (login_url) => {
    expect((await callFor(login_url)).status).toBe(401);
    expect(navigate).not.toHaveBeenCalled();
  });

  it("is left to the page if the page wants it", async () => {
    const onStepUp = vi.fn();
    await callFor("/auth/login?max_age=60", { onStepUp });
    expect(navigate).not.toHaveBeenCalled();
    const asked = onStepUp.mock.calls[0]?.[0] as BffProblem;
    expect(asked.problem).toMatchObject({ acr_values: "gold", max_age: 60 });
    expect(client().stepUp(asked)).toBe(true);
    expect(navigate).toHaveBeenCalledOnce();
  });

  it("does not end the session", async () => {
    const tab = await openTab({ navigate });
    server.on("/api/pay", () => demand("/auth/login"));
    await tab.fetch("/api/pay");
    expect(tab.state.status).toBe("authenticated");
    expect(server.at("/auth/session")).toHaveLength(1);
  });
});

describe("logout", () => {
  const LOGOUT = "https://idp.example/logout?id_token_hint=secret";
  const answer = (logout_url?: string) => server.on("/auth/logout", () => Response.json({ logout_url }));

  it("ends the session and goes on to the provider", async () => {
    answer(LOGOUT);
    const tab = await openTab({ navigate });
    const ended = vi.fn();
    tab.on("session-ended", ended);
    await tab.logout();
    const [request] = server.at("/auth/logout");
    expect(request?.method).toBe("POST");
    expect(request?.headers.get("X-CSRF-Token")).toBe("csrf-of-u-ada");
    expect(request?.headers.get("Accept")).toBe("application/json");
    expect(request?.body).toBe("");
    expect(tab.state).toMatchObject({ status: "anonymous", session: null, reason: "logout" });
    expect(ended).toHaveBeenCalledExactlyOnceWith({ type: "session-ended", reason: "logout" });
    expect(navigate).toHaveBeenCalledExactlyOnceWith(LOGOUT);
  });

  it("keeps the address of the provider to itself: it holds the ID token", async () => {
    answer(LOGOUT);
    const tab = await openTab({ navigate });
    await tab.logout();
    expect(JSON.stringify([told, tab.state])).not.toContain("secret");
  });

  it("may end all sessions and name a target", async () => {
    answer(LOGOUT);
    await client().logout({ everywhere: true, returnTo: "/goodbye" });
    await client().logout({ everywhere: false });
    const bodies = server.at("/auth/logout").map(({ body }) => body);
    expect(bodies).toEqual(["everywhere=true&return_to=%2Fgoodbye", ""]);
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "https://", undefined])("never navigates to %j", async (url) => {
    answer(url);
    await client().logout();
    expect(navigate).not.toHaveBeenCalled();
  });

  it("is done if the session has ended before", async () => {
    server.session = { authenticated: false };
    server.on("/auth/logout", () => problem(401, "unauthenticated"));
    const tab = await openTab({ navigate });
    await tab.logout();
    expect(tab.state.status).toBe("anonymous");
    expect(navigate).not.toHaveBeenCalled();
  });

  it("fails if the server refuses it, and the session goes on", async () => {
    server.on("/auth/logout", () => problem(403, "csrf_origin"));
    const tab = await openTab({ navigate });
    await expect(tab.logout()).rejects.toMatchObject({ code: "csrf_origin" });
    expect(tab.state.status).toBe("authenticated");
  });
});
