import type { Problem } from "./codes.js";

/** An answer that is an error: of the server (then it is a {@link BffProblem}), or of the API behind it. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    /** The status of the answer. */
    readonly status: number,
    message: string,
    /** The stable code of the refusal, if there is one. */
    readonly code?: string,
    /** The id of the request in the log of the server. Show it together with the error. */
    readonly correlationId?: string,
  ) {
    super(message);
  }
}

/** A refusal of the server: a problem document (RFC 9457). Act on `code`; `message` is for people who debug. */
export class BffProblem extends ApiError {
  override name = "BffProblem";
  declare readonly code: Problem["code"];

  constructor(
    status: number,
    /** The members of the document. */
    readonly problem: Problem,
    correlationId: string | undefined,
    /** The seconds to wait before a repetition helps, if the server says so. */
    readonly retryAfter: number | undefined,
  ) {
    super(status, problem.detail ?? problem.code, problem.code, correlationId);
  }
}

/** Reads an answer as an error, and leaves its body readable for the caller. */
export async function errorOf(response: Response): Promise<ApiError> {
  const { headers, status } = response;
  const correlationId = headers.get("X-Correlation-ID") ?? undefined;
  if (headers.get("Content-Type")?.startsWith("application/problem+json")) {
    const problem = (await response
      .clone()
      .json()
      .catch(() => null)) as Problem | null;
    if (problem?.code) {
      // The server never sends the other form of the field, a date.
      const seconds = parseFloat(headers.get("Retry-After") ?? "");
      return new BffProblem(status, problem, correlationId, seconds >= 0 ? seconds : undefined);
    }
  }
  return new ApiError(status, `HTTP ${status}`, undefined, correlationId);
}
