/** The value of a parameter. `undefined` and `null` leave the parameter out. */
export type QueryValue = string | number | boolean | null | undefined;

/** Sets the parameters that have a value. */
export function setQuery(query: URLSearchParams, values: object): URLSearchParams {
  for (const [name, value] of Object.entries(values) as [string, QueryValue][]) {
    if (value != null) query.set(name, String(value));
  }
  return query;
}
