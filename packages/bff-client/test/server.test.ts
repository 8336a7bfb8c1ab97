// @vitest-environment node
import { expect, it } from "vitest";

it("nothing is touched where a server renders the application", async () => {
  expect(typeof window).toBe("undefined");
  const { createBffClient, configure } = await import("../src/index.js");
  for (const client of [createBffClient(), configure({})]) {
    const stop = client.start();
    expect(client.state.status).toBe("loading");
    client.subscribe(() => undefined)();
    stop();
  }
});
