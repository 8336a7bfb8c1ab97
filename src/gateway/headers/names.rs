//! Sets of field names.

/// Field names, whole ones and beginnings of them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Sorted.
    whole: Vec<Box<str>>,
    /// Sorted, and no name is a prefix of another, so that one look-up decides.
    beginnings: Vec<Box<str>>,
    whole_sketch: Sketch,
    beginnings_sketch: Sketch,
}

/// Pairs of bytes that a name must have, so that most fields of a request need no comparison with all names.
#[derive(Clone, Copy, Debug, Default)]
struct Sketch {
    one: u128,
    other: u128,
}

// === impl Names ===

impl Names {
    /// The set of `patterns`: a name, or a beginning of names followed by `*`, in any case.
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(beginning) => names.beginnings.push(beginning.to_ascii_lowercase().into()),
                None => names.whole.push(pattern.to_ascii_lowercase().into()),
            }
        }
        names.whole.sort_unstable();
        names.beginnings.sort_unstable();
        // In this order, a name that begins with the preceding prefix is covered by it.
        names
            .beginnings
            .dedup_by(|later, earlier| later.starts_with(&**earlier));
        names.whole_sketch = Sketch::of(&names.whole, ends);
        names.beginnings_sketch = Sketch::of(&names.beginnings, start);
        names
    }

    /// Whether `name`, in lower case, is one of them.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.beginnings_sketch.may_contain(start(name)) && self.begins(name)
            || self.whole_sketch.may_contain(ends(name))
                && self.whole.binary_search_by(|whole| (**whole).cmp(name)).is_ok()
    }

    fn begins(&self, name: &str) -> bool {
        let after = self.beginnings.partition_point(|beginning| &**beginning <= name);
        let beginning = after.checked_sub(1).and_then(|at| self.beginnings.get(at));
        beginning.is_some_and(|beginning| name.starts_with(&**beginning))
    }
}

// === impl Sketch ===

impl Sketch {
    /// Of `names`, of which `pair` takes two bytes. A name without them lets every name pass.
    fn of(names: &[Box<str>], pair: impl Fn(&str) -> Option<[u8; 2]>) -> Self {
        names
            .iter()
            .fold(Self::default(), |sketch, name| match pair(name).map(bits) {
                Some([one, other]) => Self {
                    one: sketch.one | one,
                    other: sketch.other | other,
                },
                None => Self {
                    one: u128::MAX,
                    other: u128::MAX,
                },
            })
    }

    /// Whether a name with these bytes can be among the names.
    fn may_contain(self, pair: Option<[u8; 2]>) -> bool {
        match pair.map(bits) {
            Some([one, other]) => self.one & one != 0 && self.other & other != 0,
            None => self.one == u128::MAX,
        }
    }
}

/// The bytes at the ends of a name.
fn ends(name: &str) -> Option<[u8; 2]> {
    let bytes = name.as_bytes();
    Some([*bytes.first()?, *bytes.last()?])
}

/// The first two bytes of a name.
fn start(name: &str) -> Option<[u8; 2]> {
    name.as_bytes().first_chunk().copied()
}

fn bits(pair: [u8; 2]) -> [u128; 2] {
    pair.map(|byte| 1 << (byte & 0x7F))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_beginnings_are_found() {
        let names = Names::new(["X-User*", "x-user-id", "x-users*", "Proxy", "x-real-ip", "a*"]);
        for name in [
            "x-user",
            "x-user-id",
            "x-users",
            "x-userx",
            "proxy",
            "x-real-ip",
            "a",
            "ab",
        ] {
            assert!(names.contains(name), "{name}");
        }
        for name in [
            "x-use",
            "x",
            "proxy-x",
            "prox",
            "x-real",
            "x-real-ip2",
            "",
            "b",
            "zz",
        ] {
            assert!(!names.contains(name), "{name}");
        }
        assert!(!Names::default().contains(""));
    }

    proptest! {
        #[test]
        fn a_set_finds_what_a_walk_finds(patterns in proptest::collection::vec("[ab-]{0,4}\\*?", 0..8), name in "[ab-]{0,6}") {
            let walked = patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == *pattern,
            });
            prop_assert_eq!(Names::new(patterns.iter().map(String::as_str)).contains(&name), walked);
        }
    }
}
