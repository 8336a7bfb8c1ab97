//! A map whose entries end at a time, bounded in number.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use serde::{Deserialize, Serialize};

/// More entries than any test or laptop needs. Beyond that, the one that expires first is dropped.
const CAPACITY: usize = 200_000;

#[derive(Serialize, Deserialize)]
#[serde(
    transparent,
    bound(deserialize = "K: Deserialize<'de> + Eq + Hash, V: Deserialize<'de>")
)]
pub(crate) struct Expiring<K, V> {
    entries: HashMap<K, (u64, V)>,
    #[serde(skip)]
    purge_at: usize,
}

// === impl Expiring ===

impl<K: Eq + Hash + Clone, V> Expiring<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V, expires_at: u64, now: u64) {
        self.make_room(now);
        self.entries.insert(key, (expires_at, value));
    }

    /// Inserts unless the key is there already; whether it did.
    pub(crate) fn insert_new(&mut self, key: K, value: V, expires_at: u64, now: u64) -> bool {
        if self.get(&key, now).is_some() {
            return false;
        }
        self.insert(key, value, expires_at, now);
        true
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: u64) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries
            .get(key)
            .filter(|(expires_at, _)| *expires_at > now)
            .map(|(_, value)| value)
    }

    pub(crate) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: u64) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries
            .get_mut(key)
            .filter(|(expires_at, _)| *expires_at > now)
            .map(|(_, value)| value)
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: u64) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries
            .remove(key)
            .filter(|(expires_at, _)| *expires_at > now)
            .map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.entries.retain(|_, (_, value)| keep(value));
    }

    /// Values that have not ended.
    pub(crate) fn values(&self, now: u64) -> impl Iterator<Item = &V> {
        self.entries
            .values()
            .filter(move |(expires_at, _)| *expires_at > now)
            .map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(_, value)| value)
    }

    fn make_room(&mut self, now: u64) {
        if self.entries.len() < self.purge_at.max(1024) {
            return;
        }
        self.entries.retain(|_, (expires_at, _)| *expires_at > now);
        // Purging again only once it has doubled keeps inserts cheap.
        self.purge_at = self.entries.len().saturating_mul(2).min(CAPACITY);
        if self.entries.len() >= CAPACITY {
            let first = self.entries.iter().min_by_key(|(_, (expires_at, _))| *expires_at);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                self.entries.remove(&key);
            }
        }
    }
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            purge_at: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_ends_at_its_time() {
        let mut map = Expiring::default();
        map.insert("a", 1, 10, 0);
        assert_eq!(map.get("a", 9), Some(&1));
        assert_eq!(map.get("a", 10), None);
        assert!(!map.insert_new("a", 2, 20, 9));
        assert!(map.insert_new("a", 2, 20, 10));
    }

    #[test]
    fn what_has_ended_is_purged() {
        let mut map = Expiring::default();
        for n in 0..5000_u64 {
            map.insert(n, (), n + 1, n);
        }
        assert!(map.entries.len() <= 1025, "{}", map.entries.len());
    }
}
