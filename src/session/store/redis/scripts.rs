//! The atomic operations of Redis, and how they are called.

use std::sync::OnceLock;

use aws_lc_rs::digest;
use redis::{Cmd, cmd};

use super::names::{Names, Shard, member};
use crate::session::SessionKey;

/// A script. Redis stores known scripts under their SHA-1, which is not a security issue here.
#[derive(Debug)]
pub(super) struct Script {
    source: &'static str,
    id: OnceLock<String>,
}

/// A script with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

/// A possible argument of a script.
pub(super) trait Argument {
    fn bytes(self) -> Vec<u8>;
}

macro_rules! scripts {
    ($($name:ident = $file:literal)+) => {
        $(pub(super) static $name: Script = Script::new(concat!(
            include_str!("scripts/prelude.lua"),
            include_str!(concat!("scripts/", $file, ".lua"))
        ));)+
    };
}

scripts! {
    INSERT = "insert"
    REPLACE = "replace"
    TOUCH = "touch"
    REMOVE = "remove"
    CLAIM = "claim"
    EXTEND = "extend"
    RELEASE = "release"
    LOOK = "look"
    BURY = "bury"
    FILE = "file"
}

/// For records and locks, without a session among their keys.
pub(super) static SWAP: Script = Script::new(include_str!("scripts/swap.lua"));
pub(super) static HOLD: Script = Script::new(include_str!("scripts/hold.lua"));
pub(super) static PROLONG: Script = Script::new(include_str!("scripts/prolong.lua"));
pub(super) static LET_GO: Script = Script::new(include_str!("scripts/let_go.lua"));

/// For rate limits.
pub(super) static TAKE: Script = Script::new(include_str!("scripts/take.lua"));

// === impl Script ===

impl Script {
    const fn new(source: &'static str) -> Self {
        Self {
            source,
            id: OnceLock::new(),
        }
    }

    fn id(&self) -> &str {
        self.id.get_or_init(|| {
            let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.source.as_bytes());
            let digits = sum.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
            digits
                .filter_map(|digit| char::from_digit(digit.into(), 16))
                .collect()
        })
    }

    /// About nothing yet.
    pub(super) fn call(&'static self) -> Call {
        Call {
            script: self,
            keys: Vec::new(),
            args: Vec::new(),
        }
    }

    /// About this session.
    pub(super) fn about(&'static self, names: &Names, key: &SessionKey) -> Call {
        let shard = Shard::of(key);
        self.call()
            .key(names.session(key))
            .key(names.due(shard))
            .key(names.ends(shard))
            .arg(member(key))
    }
}

// === impl Call ===

impl Call {
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(super) fn arg(mut self, arg: impl Argument) -> Self {
        self.args.push(arg.bytes());
        self
    }

    /// The command where Redis knows the script.
    pub(super) fn by_id(&self) -> Cmd {
        self.command("EVALSHA", self.script.id())
    }

    /// The command for an unknown script, which makes Redis store it. Not `SCRIPT LOAD`: a cluster's client sends
    /// that to every node, so one failing node would make it fail.
    pub(super) fn by_source(&self) -> Cmd {
        self.command("EVAL", self.script.source)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for arg in &self.args {
            command.arg(arg.as_slice());
        }
        command
    }
}

// === impl Argument ===

impl Argument for u64 {
    fn bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl Argument for &str {
    fn bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Argument for String {
    fn bytes(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl Argument for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

impl Argument for super::entry::Packed {
    fn bytes(self) -> Vec<u8> {
        self.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_script_is_the_sha_1_of_its_text() {
        static ONE: Script = Script::new("return 1");
        assert_eq!(ONE.id(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
