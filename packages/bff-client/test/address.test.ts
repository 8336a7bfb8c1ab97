import { describe, expect, it } from "vitest";

import { createBffClient } from "../src/index.js";
import { FakeServer, ORIGIN, settle } from "./support.js";

describe("apiUrl", () => {
  it.each([
    ["/api", "/api/orders", "/api/orders"],
    ["/api", "/orders", "/api/orders"],
    ["/api", "orders?open=1", "/api/orders?open=1"],
    ["/api", "/apis/x", "/api/apis/x"],
    ["/api", "/api", "/api"],
    ["/api", "", "/api"],
    ["/api", "?a=1", "/api?a=1"],
    ["/api/", "/api/orders", "/api/orders"],
    ["/shop/api", "/api/orders", "/shop/api/orders"],
    ["", "/api/orders", "/api/orders"],
    ["/", "orders", "/orders"],
    // These look like other hosts, and stay paths.
    ["/api", "//evil.example/x", "/api/evil.example/x"],
    ["/api", "/\\evil.example/x", "/api/\\evil.example/x"],
  ])("below %j, %j is %j", (baseUrl, path, expected) => {
    expect(createBffClient({ baseUrl }).apiUrl(path).href).toBe(new URL(expected.replace("\\", "/"), ORIGIN).href);
  });

  it("is on another origin if the base URL is", () => {
    const client = createBffClient({ baseUrl: "https://bff.example.com/api" });
    expect(client.apiUrl("/api/x").href).toBe("https://bff.example.com/api/x");
    expect(client.apiUrl("https://bff.example.com/other").href).toBe("https://bff.example.com/other");
  });

  it("refuses another origin", () => {
    const client = createBffClient();
    expect(() => client.apiUrl("https://evil.example/api/x")).toThrow(TypeError);
    expect(() => client.apiUrl("http://app.example.com/api/x")).toThrow(TypeError);
  });
});

describe("/auth", () => {
  it.each([
    ["/api", `${ORIGIN}/auth/session`],
    ["", `${ORIGIN}/auth/session`],
    ["/shop/api/", `${ORIGIN}/shop/auth/session`],
    ["https://bff.example.com/api", "https://bff.example.com/auth/session"],
  ])("is the sibling of %j", async (baseUrl, expected) => {
    const server = new FakeServer();
    await createBffClient({ baseUrl })
      .session()
      .catch(() => null);
    await settle();
    expect(server.received[0]?.url.href).toBe(`${expected}?touch=false`);
    expect(server.received[0]?.init.credentials).toBe("include");
  });
});
