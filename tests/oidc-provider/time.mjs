// Time that stands still until a test moves it. The library and jose, which it verifies with, know the time from `Date`
// alone, and look it up whenever they need it.

// Stops the time at `now` (milliseconds since 1970); a function that sets it to another.
export function stopTime(now) {
  let time = now;
  const Machine = globalThis.Date;
  globalThis.Date = class Date extends Machine {
    constructor(...given) {
      super(...(given.length > 0 ? given : [time]));
    }

    static now() {
      return time;
    }
  };
  return (then) => {
    time = then;
  };
}
