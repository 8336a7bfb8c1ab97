import { expect, it, vi } from "vitest";
import { effectScope } from "vue";

import { useBff, useSessionEvent } from "../use-bff";

it("follows the session while it is used", async () => {
  let answer: object = { authenticated: true, user: { sub: "u-ada" }, csrf_token: "csrf" };
  const fetch = vi.fn(async (url: URL) =>
    url.pathname === "/auth/session" ? Response.json(answer) : Response.error(),
  );
  vi.stubGlobal("fetch", fetch);
  const ended: string[] = [];
  const scope = effectScope();
  const used = scope.run(() => {
    useSessionEvent("session-ended", ({ reason }) => ended.push(reason));
    return useBff();
  });
  expect(used?.isLoading.value).toBe(true);
  await vi.waitFor(() => expect(used?.user.value).toEqual({ sub: "u-ada" }));
  answer = { authenticated: false };
  await used?.stayLoggedIn();
  expect(used?.user.value).toBeNull();
  expect(ended).toEqual(["unknown"]);

  scope.stop();
  const before = fetch.mock.calls.length;
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  expect(fetch.mock.calls).toHaveLength(before);
});
