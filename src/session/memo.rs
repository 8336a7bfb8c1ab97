//! Values that are derived from a session once and kept with it.

use std::{fmt, sync::OnceLock};

/// A value derived from its owner at first use. A clone begins without it, because a session is cloned in order to
/// change it.
pub struct Memo<T>(OnceLock<T>);

// === impl Memo ===

impl<T> Memo<T> {
    /// The value; `derive` computes it at the first call.
    pub fn get_or_init(&self, derive: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(derive)
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_derives_anew() {
        let memo = Memo::default();
        assert_eq!(*memo.get_or_init(|| 1), 1);
        assert_eq!(*memo.get_or_init(|| 2), 1);
        assert_eq!(*memo.clone().get_or_init(|| 3), 3);
    }
}
