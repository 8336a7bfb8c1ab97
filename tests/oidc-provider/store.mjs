// Everything that the provider stores, in memory, and open to be looked at: a test asks what the provider knows, and
// the provider can be built anew (with other signing keys) on what it stored before.

export class Store {
  #models = new Map();

  // All records of a model, by id. What is over is left out.
  all(model) {
    const records = this.#of(model);
    const now = Date.now();
    for (const [id, { until }] of records) {
      if (until <= now) records.delete(id);
    }
    return [...records].map(([id, { payload }]) => ({ id, ...payload }));
  }

  // The adapter of a model, as oidc-provider wants it.
  adapter(model) {
    const records = this.#of(model);
    const find = (matches) => this.all(model).find(matches);
    return {
      upsert: async (id, payload, expiresIn) => {
        const until = expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000;
        records.set(id, { payload, until });
      },
      find: async (id) => find((record) => record.id === id),
      findByUid: async (uid) => find((record) => record.uid === uid),
      findByUserCode: async (code) => find((record) => record.userCode === code),
      consume: async (id) => {
        records.get(id).payload.consumed = Math.floor(Date.now() / 1000);
      },
      destroy: async (id) => {
        records.delete(id);
      },
      revokeByGrantId: async (grantId) => {
        for (const [id, { payload }] of records) {
          if (payload.grantId === grantId) records.delete(id);
        }
      },
    };
  }

  #of(model) {
    if (!this.#models.has(model)) this.#models.set(model, new Map());
    return this.#models.get(model);
  }
}
