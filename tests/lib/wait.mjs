// Bounded waits for conditions: nothing here waits for a time to pass.

export const PATIENCE = 10_000; // ms until a condition that does not come is a failure

export function deferred() {
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  return d;
}

// The promise's result, or an error that says what did not come. Nobody needs to look at the error: a test that fails
// elsewhere leaves waits behind.
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  const either = Promise.race([promise, late]).finally(() => clearTimeout(timer));
  either.catch(() => {});
  return either;
}

// The arguments of the next event.
export function next(emitter, event, ms = PATIENCE) {
  return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `event "${event}"`, ms);
}

// Resolves when the condition, which may be async, gives something true, and with that.
export async function until(condition, what, ms = PATIENCE) {
  const end = Date.now() + ms;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// Gathers the events of one name: `all` holds their arguments, `take(n)` waits for n of them.
export function gather(emitter, event) {
  const all = [];
  const waiting = [];
  emitter.on(event, (...args) => {
    all.push(args);
    for (const one of waiting) if (all.length >= one.count) one.resolve(all);
  });
  return {
    all,
    take(count, ms = PATIENCE) {
      const one = { count, ...deferred() };
      if (all.length >= count) return Promise.resolve(all);
      waiting.push(one);
      return within(one.promise, `${count} events "${event}"`, ms).catch((error) => {
        throw new Error(`${error.message}; ${all.length} came`);
      });
    },
  };
}
