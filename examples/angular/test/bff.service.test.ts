import "@angular/compiler";

import { createEnvironmentInjector, Injector } from "@angular/core";
import { expect, it, vi } from "vitest";

import { BffService } from "../bff.service";

it("follows the session while it exists", async () => {
  let answer: object = { authenticated: true, user: { sub: "u-ada" }, csrf_token: "csrf" };
  const fetch = vi.fn(async (url: URL) =>
    url.pathname === "/auth/session" ? Response.json(answer) : Response.error(),
  );
  vi.stubGlobal("fetch", fetch);
  const injector = createEnvironmentInjector([BffService], Injector.NULL as never);
  const bff = injector.get(BffService);
  const ended: string[] = [];
  bff.on("session-ended", ({ reason }) => ended.push(reason));
  expect(bff.isLoading()).toBe(true);
  await vi.waitFor(() => expect(bff.user()).toEqual({ sub: "u-ada" }));
  answer = { authenticated: false };
  await bff.stayLoggedIn();
  expect(bff.user()).toBeNull();
  expect(ended).toEqual(["unknown"]);

  injector.destroy();
  const before = fetch.mock.calls.length;
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  expect(fetch.mock.calls).toHaveLength(before);
});
