//! The session: who is logged in, with which tokens, and how a browser names it.
//!
//! A browser holds a random 256-bit [`SessionId`] in a cookie. The store knows only its SHA-256, the [`SessionKey`],
//! so a dump of the store contains no usable cookies. All other parts see a [`SessionRef`], which reveals neither.
//! [`Sessions`] is the only access to them. [`SessionStore`] documents the contract of a store, and one contract test
//! holds every store to it.
//!
//! The module `tokens`, one floor up, decides the value of a token and when it is renewed. This module has only the
//! arithmetic ([`Tokens`]) and the index of due times.

mod access_token;
mod binding;
mod cookie;
mod csrf;
mod device;
mod end;
mod for_targets;
mod id;
mod limits;
mod measures;
mod memo;
mod once;
mod record;
mod sessions;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod user;

pub use self::{
    access_token::AccessToken,
    binding::{Binding, Bound, DeviceKey, Mismatch, Seen, Stamp},
    cookie::{
        CookieName, CookieOptions, CookieOptionsError, CookiePolicy, LOGIN_COOKIE_LIFETIME, LoginCookie,
        MAX_LOGIN_COOKIE_LENGTH, MAX_LOGIN_COOKIES, MAX_LOGIN_COOKIES_LENGTH, SameSite, SetCookieError,
    },
    csrf::{csrf_token, csrf_token_matches},
    device::Device,
    end::{EndReason, Ended, Listener, PageEvent, Revocation, table as session_ends},
    for_targets::{ForTarget, ForTargets},
    id::{SessionId, SessionKey, SessionRef},
    limits::{Lifespan, Limits},
    memo::Memo,
    once::{MemoryOnce, Once},
    record::{Assurance, RecordError, Session, Strikes, Tokens},
    sessions::{Found, News, NewsItem, OpenError, Opened, Outlook, Sessions, UpdateError, Watch},
    store::{
        Cached, Change, Claim, Claimed, DiskError, DiskFault, DiskStore, Due, InsertError, Lease, Listed,
        MemoryStore, NewSession, Part, RedisCertificateError, RedisOptions, RedisStartError, RedisStore,
        RedisUrlError, ReplaceError, SessionStore, StoreError, Stored, Usage, Version, Whose,
    },
    user::{EmailTrust, LeftOut, LeftOutNotice, UserClaims, email_is_unstated, user_claims},
};
