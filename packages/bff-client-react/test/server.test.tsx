// @vitest-environment node
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";

import { AuthProvider, useAuth } from "../src/index.js";

it("a server renders the state before the answer", () => {
  expect(typeof window).toBe("undefined");
  const Show = () => <>{useAuth().isLoading ? "loading" : "known"}</>;
  const html = renderToString(
    <AuthProvider baseUrl="/api">
      <Show />
    </AuthProvider>,
  );
  expect(html).toBe("loading");
});
