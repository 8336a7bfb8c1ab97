//! Data that several processes share for some minutes.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use super::SharedError;

/// Values that are forgotten by themselves. Who can read the memory can read them, so that they are sealed further up.
pub trait Passing: fmt::Debug + Send + Sync + 'static {
    /// Puts the unique `value` under `name` for `keep`, if there is none. `false` if there is one.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it may be there.
    fn put_first<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Puts `value` under `name` for `keep`, whatever there was.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it may be there.
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>>;

    /// The data under `name`.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if the answer is unknown.
    fn fetch<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, SharedError>>;

    /// Forgets the data under `name`.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it may still be there.
    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SharedError>>;

    /// Puts `note` beside the others under `name`. All of them are kept for `keep` from now on.
    ///
    /// # Errors
    ///
    /// [`SharedError`]: it may be there.
    fn add<'a>(
        &'a self,
        name: &'a str,
        note: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>>;

    /// All notes under `name`.
    ///
    /// # Errors
    ///
    /// [`SharedError`] if the answer is unknown.
    fn all<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SharedError>>;
}
