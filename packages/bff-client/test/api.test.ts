import { beforeEach, describe, expect, it } from "vitest";

import { ApiError, apiClient, BffProblem, configure, fetchWithAuth, setBaseUrl } from "../src/index.js";
import { FakeServer, ORIGIN, problem } from "./support.js";

let server: FakeServer;
beforeEach(() => {
  setBaseUrl("/api");
  server = new FakeServer();
  server.logIn();
  server.on("/api/orders", () => Response.json([{ id: 1 }]));
});
const last = () => server.received.at(-1);

describe("apiClient", () => {
  it("reads JSON", async () => {
    const orders = await apiClient.get<{ id: number }[]>("/api/orders", {
      params: { open: true, page: 2, customer: undefined, note: null },
      headers: { "X-Own": "1" },
    });
    expect(orders).toEqual([{ id: 1 }]);
    expect(last()?.url.href).toBe(`${ORIGIN}/api/orders?open=true&page=2`);
    expect(last()?.headers.get("X-Own")).toBe("1");
    expect(last()?.headers.get("Accept")).toBe("application/json");
    expect(last()?.headers.has("Content-Type")).toBe(false);
  });

  it.each(["post", "put", "patch"] as const)("%s sends JSON with the CSRF token", async (method) => {
    await apiClient[method]("/orders", { text: "a note" });
    expect(last()?.method).toBe(method.toUpperCase());
    expect(last()?.init.body).toBe('{"text":"a note"}');
    expect(last()?.headers.get("Content-Type")).toBe("application/json");
    expect(last()?.headers.get("X-CSRF-Token")).toBe("csrf-of-u-ada");
  });

  it("delete carries the CSRF token", async () => {
    await apiClient.delete("/orders");
    expect(last()?.method).toBe("DELETE");
    expect(last()?.headers.get("X-CSRF-Token")).toBe("csrf-of-u-ada");
  });

  it("sends nothing if there is nothing to send", async () => {
    await apiClient.post("/orders");
    expect(last()?.init.body).toBeUndefined();
    expect(last()?.headers.has("Content-Type")).toBe(false);
  });

  it.each([
    ["a form", new FormData()],
    ["a file", new Blob(["x"])],
    ["a query", new URLSearchParams({ a: "b" })],
  ])("leaves the content type of %s to the browser", async (_, body) => {
    await apiClient.post("/orders", body);
    expect(last()?.init.body).toBe(body);
    expect(last()?.headers.has("Content-Type")).toBe(false);
  });

  it("keeps the content type of the caller", async () => {
    await apiClient.patch("/orders", { a: 1 }, { headers: { "Content-Type": "application/merge-patch+json" } });
    expect(last()?.headers.get("Content-Type")).toBe("application/merge-patch+json");
  });

  it.each([
    ["nothing", new Response(null, { status: 204 }), undefined],
    ["no JSON in an answer of JSON", new Response("", { headers: { "Content-Type": "application/json" } }), undefined],
    ["text", new Response("hello"), "hello"],
    [
      "JSON of a kind",
      new Response("1", { headers: { "Content-Type": "application/vnd.api+json; charset=utf-8" } }),
      1,
    ],
  ])("reads %s", async (_, response, expected) => {
    server.on("/api/orders", () => response);
    expect(await apiClient.get("/orders")).toEqual(expected);
  });

  it("rejects with an error of the API", async () => {
    server.on("/api/orders", () => new Response("no", { status: 403, headers: { "X-Correlation-ID": "c-2" } }));
    const error: unknown = await apiClient.get("/orders").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 403, message: "HTTP 403", correlationId: "c-2" });
    expect(server.received).toHaveLength(1);
  });

  it("rejects with a refusal of the server", async () => {
    server.on("/api/orders", () => problem(404, "not_found"));
    await expect(apiClient.get("/orders")).rejects.toBeInstanceOf(BffProblem);
  });

  it("can be aborted", async () => {
    const signal = AbortSignal.abort(new Error("no longer needed"));
    await expect(apiClient.get("/orders", { signal })).rejects.toThrow("no longer needed");
  });

  it("calls no foreign origin", async () => {
    await expect(apiClient.post("https://evil.example/api")).rejects.toThrow(TypeError);
    await expect(fetchWithAuth("https://evil.example/api")).rejects.toThrow(TypeError);
    expect(server.received).toHaveLength(0);
  });
});

describe("fetchWithAuth", () => {
  it("resolves with any answer", async () => {
    server.on("/api/orders", () => problem(404, "not_found"));
    expect((await fetchWithAuth("/api/orders")).status).toBe(404);
  });
});

describe("the shared client", () => {
  it("calls the server that is named", async () => {
    setBaseUrl("https://bff.example.com/api");
    await fetchWithAuth("/api/orders");
    expect(last()?.url.href).toBe("https://bff.example.com/api/orders");
    expect(last()?.init.credentials).toBe("include");
  });

  it("is the same until an option changes", () => {
    const client = configure({});
    setBaseUrl("/api");
    expect(configure({ baseUrl: "/api" })).toBe(client);
    expect(configure({ maxWait: 1 })).not.toBe(client);
  });
});
