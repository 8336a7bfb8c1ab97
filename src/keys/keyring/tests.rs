use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use proptest::prelude::*;

use super::{policy::RESTART, *};

const DAY: Duration = Duration::from_hours(24);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn name(kid: &str) -> KeyName {
    KeyName {
        file: PathBuf::from(format!("{kid}.pem")),
        kid: kid.to_owned(),
        thumbprint: kid.to_owned(),
    }
}

/// A folder with these keys, the first of which is named.
fn seen(kids: &[&str]) -> Seen {
    Seen {
        named: kids.first().map(|kid| name(kid)),
        usable: kids.iter().map(|kid| (*kid).to_owned()).collect(),
        gone: BTreeSet::new(),
    }
}

fn policy() -> Policy {
    Policy {
        rotate_after: Some(30 * DAY),
        retire_after: 60 * DAY,
        max_keys: 3,
        publish_ahead: DAY,
    }
}

/// All steps up to one that needs an effect outside, which is returned.
fn settle(ring: &mut Keyring, now: Timestamp, policy: &Policy, seen: &Seen) -> Option<Step> {
    for _ in 0..100 {
        match ring.next_step(now, policy, seen) {
            Some(step @ (Step::Make | Step::Activate(_))) => return Some(step),
            Some(step) => ring.apply(&step, now, policy),
            None => return None,
        }
    }
    panic!("no end of steps: {ring:?}");
}

/// The same as if a server looked all the time from `from` to `to`.
fn serve(ring: &mut Keyring, from: Timestamp, to: Timestamp, policy: &Policy, seen: &Seen) -> Option<Step> {
    let mut now = from;
    while now < to {
        if let Some(step) = settle(ring, now, policy, seen) {
            return Some(step);
        }
        now = now.saturating_add(Duration::from_mins(30)).min(to);
    }
    settle(ring, to, policy, seen)
}

fn started(kid: &str) -> Keyring {
    let mut ring = Keyring::default();
    assert_eq!(settle(&mut ring, at(0), &policy(), &seen(&[kid])), None);
    ring
}

fn states(ring: &Keyring) -> Vec<(&str, State)> {
    ring.keys
        .iter()
        .map(|key| (key.kid.as_str(), key.state))
        .collect()
}

#[test]
fn the_first_key_signs_at_once_and_nothing_without_any() {
    let mut ring = Keyring::default();
    assert_eq!(settle(&mut ring, at(0), &policy(), &Seen::default()), None);
    assert_eq!(states(&started("a")), [("a", State::Active)]);
}

#[test]
fn a_new_named_key_signs_after_it_was_published_long_enough() {
    let mut ring = started("a");
    let folder = seen(&["b", "a"]);
    assert_eq!(settle(&mut ring, at(100), &policy(), &folder), None);
    assert_eq!(states(&ring), [("a", State::Active), ("b", State::Next)]);
    let due = at(100).saturating_add(DAY);
    assert_eq!(
        serve(
            &mut ring,
            at(100),
            due.saturating_sub(Duration::from_secs(1)),
            &policy(),
            &folder
        ),
        None
    );
    let step = settle(&mut ring, due, &policy(), &folder).unwrap();
    assert_eq!(step, Step::Activate("b".to_owned()));
    ring.apply(&step, due, &policy());
    assert_eq!(states(&ring), [("a", State::Previous), ("b", State::Active)]);
    assert_eq!(settle(&mut ring, due, &policy(), &folder), None);
}

#[test]
fn time_in_which_nobody_served_does_not_count_as_published() {
    let mut ring = started("a");
    let folder = seen(&["b", "a"]);
    settle(&mut ring, at(0), &policy(), &folder);
    // All servers are down for two days.
    let back = at(0).saturating_add(2 * DAY);
    assert_eq!(settle(&mut ring, back, &policy(), &folder), None);
    assert_eq!(ring.next().unwrap().since, back);
    // A restart is not a pause.
    let soon = back.saturating_add(Duration::from_mins(90));
    settle(&mut ring, soon, &policy(), &folder);
    assert_eq!(ring.next().unwrap().since, back);
}

#[test]
fn where_the_private_key_is_lost_the_named_one_signs_at_once() {
    let mut ring = started("a");
    let mut folder = seen(&["b"]);
    folder.gone.insert("a".to_owned());
    assert_eq!(
        ring.next_step(at(5), &policy(), &folder),
        Some(Step::TakeOver(name("b")))
    );
    settle(&mut ring, at(5), &policy(), &folder);
    assert_eq!(states(&ring), [("a", State::Previous), ("b", State::Active)]);
}

#[test]
fn without_a_new_key_the_next_and_then_the_last_take_over() {
    let mut ring = started("a");
    settle(&mut ring, at(0), &policy(), &seen(&["b", "a"]));
    let mut folder = seen(&["b"]);
    folder.gone.insert("a".to_owned());
    settle(&mut ring, at(1), &policy(), &folder);
    assert_eq!(ring.active().unwrap().kid, "b");

    let mut ring = started("a");
    settle(&mut ring, at(0), &policy(), &seen(&["b", "a"]));
    ring.activate("b", at(1));
    let mut folder = seen(&["a"]);
    folder.gone.insert("b".to_owned());
    settle(&mut ring, at(2), &policy(), &folder);
    assert_eq!(ring.active().unwrap().kid, "a");
    // No key is left: the keyring stays unchanged until an operator restores the key.
    folder.usable.clear();
    folder.named = None;
    folder.gone.insert("a".to_owned());
    assert_eq!(settle(&mut ring, at(3), &policy(), &folder), None);
    assert_eq!(ring.active().unwrap().kid, "a");
}

#[test]
fn a_folder_that_is_missing_altogether_changes_nothing() {
    let mut ring = started("a");
    ring.add_next(&name("b"), at(1));
    ring.activate("b", at(2));
    ring.add_next(&name("c"), at(3));
    let before = ring.clone();
    let missing = Seen {
        gone: ["a", "b", "c"].map(str::to_owned).into(),
        ..Seen::default()
    };
    assert_eq!(
        settle(&mut ring, at(4).saturating_add(90 * DAY), &policy(), &missing),
        None
    );
    assert_eq!(ring, before);
}

#[test]
fn a_key_that_is_only_broken_gives_its_place_to_nobody() {
    let mut ring = started("a");
    let mut folder = seen(&["a", "b"]);
    folder.named = None;
    folder.usable.remove("a");
    assert_eq!(settle(&mut ring, at(5), &policy(), &folder), None);
    assert_eq!(ring.active().unwrap().kid, "a");
}

#[test]
fn a_key_is_made_early_enough_that_it_takes_over_in_time() {
    let mut ring = started("a");
    let folder = seen(&["a", "b"]);
    let early = at(0).saturating_add(29 * DAY);
    assert_eq!(
        settle(
            &mut ring,
            early.saturating_sub(Duration::from_secs(1)),
            &policy(),
            &folder
        ),
        None
    );
    assert_eq!(settle(&mut ring, early, &policy(), &folder), Some(Step::Make));
    ring.add_next(&name("b"), early);
    let due = serve(
        &mut ring,
        early,
        at(0).saturating_add(30 * DAY),
        &policy(),
        &folder,
    );
    assert_eq!(due, Some(Step::Activate("b".to_owned())));
    // Off is off.
    let off = Policy {
        rotate_after: None,
        ..policy()
    };
    assert_eq!(
        settle(&mut started("a"), at(u64::MAX / 2000), &off, &folder),
        None
    );
}

#[test]
fn a_previous_key_retires_by_age_and_is_forgotten_with_its_file() {
    let mut ring = started("a");
    let mut folder = seen(&["a", "b"]);
    ring.add_next(&name("b"), at(0));
    ring.activate("b", at(0));
    let policy = Policy {
        rotate_after: None,
        ..policy()
    };
    let end = at(0).saturating_add(60 * DAY);
    settle(
        &mut ring,
        end.saturating_sub(Duration::from_secs(1)),
        &policy,
        &folder,
    );
    assert_eq!(ring.find("a").unwrap().state, State::Previous);
    settle(&mut ring, end, &policy, &folder);
    assert_eq!(ring.find("a").unwrap().state, State::Retired);
    // While it is the named one it is remembered: it would be news otherwise.
    folder.gone.insert("a".to_owned());
    settle(&mut ring, end, &policy, &folder);
    assert!(ring.find("a").is_some());
    folder.named = None;
    // Another server, with its own folder, may still name it.
    let later = end.saturating_add(60 * DAY);
    settle(
        &mut ring,
        later.saturating_sub(Duration::from_secs(1)),
        &policy,
        &folder,
    );
    assert!(ring.find("a").is_some());
    settle(&mut ring, later, &policy, &folder);
    assert!(ring.find("a").is_none());
}

/// After a grace period.
#[test]
fn too_many_keys_drop_the_oldest_previous_one() {
    let mut ring = started("a");
    let folder = seen(&["a", "b", "c", "d"]);
    for (second, kid) in [(1, "b"), (2, "c")] {
        ring.add_next(&name(kid), at(second));
        ring.activate(kid, at(second));
    }
    ring.add_next(&name("d"), at(3));
    settle(&mut ring, at(4), &policy(), &folder);
    assert_eq!(ring.published().count(), 4, "a signed a moment ago");
    settle(&mut ring, at(1).saturating_add(GRACE), &policy(), &folder);
    assert_eq!(
        states(&ring),
        [
            ("a", State::Retired),
            ("b", State::Previous),
            ("c", State::Active),
            ("d", State::Next)
        ]
    );
}

#[test]
fn a_newly_named_key_replaces_the_next_key() {
    let mut ring = started("a");
    settle(&mut ring, at(1), &policy(), &seen(&["b", "a"]));
    settle(&mut ring, at(2), &policy(), &seen(&["c", "b", "a"]));
    assert_eq!(
        states(&ring),
        [("a", State::Active), ("b", State::Retired), ("c", State::Next)]
    );
}

#[test]
fn a_next_key_that_is_lost_makes_room_for_another() {
    let mut ring = started("a");
    ring.add_next(&name("b"), at(1));
    let mut folder = seen(&["a"]);
    folder.gone.insert("b".to_owned());
    // As long as a server says that it publishes it, it is there for that one.
    let pause = policy().pause();
    settle(&mut ring, at(1).saturating_add(pause), &policy(), &folder);
    assert_eq!(ring.next().unwrap().kid, "b");
    let quiet = at(2).saturating_add(pause);
    settle(&mut ring, quiet, &policy(), &folder);
    assert_eq!(states(&ring), [("a", State::Active), ("b", State::Retired)]);
}

/// A server that cannot publish the next key says nothing of it.
#[test]
fn time_counts_only_where_a_server_has_the_key() {
    let mut ring = started("a");
    ring.add_next(&name("b"), at(1));
    let served = at(1).saturating_add(DAY / 2);
    assert_eq!(ring.next_step(served, &policy(), &seen(&["a"])), None);
    assert_eq!(
        ring.next_step(served, &policy(), &seen(&["a", "b"])),
        Some(Step::Served)
    );
}

#[test]
fn the_signing_key_gets_another_name_by_a_rotation_to_itself() {
    let mut ring = started("a");
    let mut folder = seen(&["a"]);
    let kid = ring.kid_for(Some("new"), "a");
    folder.named.as_mut().unwrap().kid = kid;
    settle(&mut ring, at(1), &policy(), &folder);
    assert_eq!(states(&ring), [("a", State::Active), ("new", State::Next)]);
    assert_eq!(ring.next().unwrap().thumbprint(), "a");
    // A key that no longer signs is not called back by a name.
    ring.activate("new", at(2));
    folder.named.as_mut().unwrap().thumbprint = "b".to_owned();
    folder.named.as_mut().unwrap().kid = "b".to_owned();
    ring.add_next(&name("b"), at(2));
    ring.activate("b", at(3));
    folder.named = Some(KeyName {
        kid: "newer".to_owned(),
        ..name("a")
    });
    folder.usable.extend(["new".to_owned(), "b".to_owned()]);
    assert_eq!(settle(&mut ring, at(4), &policy(), &folder), None);
    assert_eq!(ring.next(), None);
}

#[test]
fn two_keys_never_get_one_name() {
    let ring = started("a");
    assert_eq!(ring.kid_for(Some("a"), "b"), "b");
    assert_eq!(ring.kid_for(Some("a"), "a"), "a");
    assert_eq!(ring.kid_for(None, "b"), "b");
    assert_eq!(ring.kid_for(Some("mine"), "b"), "mine");
}

#[test]
fn times_of_a_wrong_clock_count_from_now() {
    let mut ring = started("a");
    ring.add_next(&name("b"), at(10_000_000));
    settle(&mut ring, at(500), &policy(), &seen(&["a", "b"]));
    assert_eq!(ring.next().unwrap().since, at(500));
    assert_eq!(ring.served_at, Some(at(500)));
    // Two replicas with slightly different clocks keep each other's times.
    ring.add_next(&name("c"), at(560));
    settle(&mut ring, at(500), &policy(), &seen(&["a", "b", "c"]));
    assert_eq!(ring.next().unwrap().since, at(560));
}

#[test]
fn retired_keys_are_remembered_up_to_a_bound() {
    let mut ring = started("a");
    for index in 0..120 {
        ring.keys
            .push(Entry::new(&name(&format!("r{index}")), State::Retired, at(index)));
    }
    settle(&mut ring, at(1_000), &policy(), &seen(&["a"]));
    assert_eq!(ring.keys.len(), 1 + MAX_RETIRED);
    assert!(ring.find("r119").is_some() && ring.find("r0").is_none());
}

/// The events of a folder in the course of years.
#[derive(Clone, Debug)]
enum Event {
    Wait(u32),
    Down(u32),
    Name,
    Rotate,
    Lose(prop::sample::Index),
    Unreadable(prop::sample::Index),
    Mend,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_u32..1_500_000).prop_map(Event::Wait),
        1 => (0_u32..1_500_000).prop_map(Event::Down),
        1 => Just(Event::Name),
        1 => Just(Event::Rotate),
        1 => any::<prop::sample::Index>().prop_map(Event::Lose),
        1 => any::<prop::sample::Index>().prop_map(Event::Unreadable),
        1 => Just(Event::Mend),
    ]
}

/// A server beside its keyring: the published keys and the duration of their publication.
struct Server {
    ring: Keyring,
    policy: Policy,
    now: Timestamp,
    seen: Seen,
    made: u32,
    /// For how long each key has been served.
    published: BTreeMap<String, Duration>,
    /// When each key last signed.
    signed: BTreeMap<String, Timestamp>,
}

impl Server {
    fn new(policy: Policy) -> Self {
        let mut server = Self {
            ring: Keyring::default(),
            policy,
            now: at(1_000_000_000),
            seen: seen(&["named-0"]),
            made: 0,
            published: BTreeMap::new(),
            signed: BTreeMap::new(),
        };
        server.look();
        server
    }

    fn new_key(&mut self, kind: &str) -> KeyName {
        self.made += 1;
        let name = name(&format!("{kind}-{}", self.made));
        self.seen.usable.insert(name.kid.clone());
        name
    }

    fn look(&mut self) {
        for _ in 0..50 {
            let before = self.ring.active().map(|key| key.kid.clone());
            match self.ring.next_step(self.now, &self.policy, &self.seen) {
                None => break,
                Some(Step::Make) => {
                    let made = self.new_key("made");
                    self.ring.add_next(&made, self.now);
                }
                Some(step) => {
                    if let Step::Activate(kid) = &step {
                        let served = self.published.get(kid).copied().unwrap_or_default();
                        // A pause that is too short to be noticed counts, once for each beat at most.
                        let slack = self.policy.beat() * 3 + RESTART;
                        assert!(
                            served + slack >= self.policy.publish_ahead,
                            "{kid} served {served:?}"
                        );
                    }
                    self.ring.apply(&step, self.now, &self.policy);
                    if let Some(before) = before
                        && !matches!(step, Step::TakeOver(_))
                        && self.seen.usable.contains(&before)
                    {
                        assert!(self.ring.published().any(|key| key.kid == before), "{step:?}");
                    }
                }
            }
            self.check();
        }
        self.check();
        assert!(
            self.ring.next_step(self.now, &self.policy, &self.seen).is_none(),
            "it comes to an end"
        );
    }

    fn check(&self) {
        self.ring.check().unwrap();
        let published: Vec<&Entry> = self.ring.published().collect();
        let active = self.ring.active().unwrap();
        assert!(published.contains(&active), "what signs is published");
        for (kid, last) in &self.signed {
            if self.now < last.saturating_add(GRACE.min(self.policy.retire_after)) {
                assert!(
                    published.iter().any(|key| key.kid == *kid),
                    "{kid} signed a moment ago"
                );
            }
        }
    }

    fn wait(&mut self, seconds: u32) {
        let mut left = Duration::from_secs(seconds.into());
        while !left.is_zero() {
            let step = left.min(self.policy.beat());
            left -= step;
            self.now = self.now.saturating_add(step);
            for key in self.ring.published() {
                *self.published.entry(key.kid.clone()).or_default() += step;
            }
            if let Some(active) = self.ring.active() {
                self.signed.insert(active.kid.clone(), self.now);
            }
            self.look();
            let fresh = |key: &&Entry| self.now.duration_since(key.since) < GRACE;
            let previous = self.ring.keys.iter().filter(|key| key.state == State::Previous);
            let needed = 1 + usize::from(self.ring.next().is_some()) + previous.filter(fresh).count();
            assert!(
                self.ring.published().count() <= self.policy.max_keys.max(needed),
                "{:?}",
                self.ring
            );
        }
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Wait(seconds) => self.wait(*seconds),
            Event::Down(seconds) => {
                self.now = self.now.saturating_add(Duration::from_secs((*seconds).into()));
                self.look();
            }
            Event::Name => {
                self.seen.named = Some(self.new_key("named"));
                self.look();
            }
            Event::Rotate => {
                if self.ring.next().is_none() {
                    let made = self.new_key("made");
                    self.ring.add_next(&made, self.now);
                }
                self.look();
            }
            Event::Lose(index) | Event::Unreadable(index) => {
                let kid = index.get(&self.ring.keys).kid.clone();
                self.seen.usable.remove(&kid);
                if matches!(event, Event::Lose(_)) {
                    self.seen.gone.insert(kid);
                }
                if self.seen.usable.is_empty() {
                    self.seen.named = Some(self.new_key("named"));
                }
                self.look();
            }
            Event::Mend => {
                let known = self.ring.keys.iter().map(|key| key.kid.clone());
                self.seen.usable.extend(known);
                self.seen.gone.clear();
                self.look();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_one_published_key_signs(
        events in prop::collection::vec(event(), 1..25),
        rotate_days in prop::option::of(2_u64..90),
        retire_days in 1_u64..90,
        max_keys in 2_usize..6,
        ahead_hours in 1_u64..47,
    ) {
        let mut server = Server::new(Policy {
            rotate_after: rotate_days.map(|days| Duration::from_hours(24 * days)),
            retire_after: Duration::from_hours(24 * retire_days),
            max_keys,
            publish_ahead: Duration::from_hours(ahead_hours),
        });
        for event in events {
            server.happens(&event);
        }
    }
}
