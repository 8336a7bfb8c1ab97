//! The kinds of faults that the doctor knows, with the tests of each. A kind has at least three instances, as `bff check`,
//! as `--json` and, if a start would fail or warn too, as a start.

/// As many instances of a kind are tested.
const LEAST: usize = 3;

/// A kind: its name, and its tests, each with the number of its instances.
type Kind = (&'static str, &'static [(&'static str, usize)]);

/// Values that were damaged on their way.
const VALUES: [Kind; 9] = [
    (
        "quotation marks",
        &[("values_with_quotation_marks_and_invisible_characters", 6)],
    ),
    (
        "a byte order mark",
        &[("values_with_quotation_marks_and_invisible_characters", 3)],
    ),
    (
        "invisible characters",
        &[("values_with_quotation_marks_and_invisible_characters", 3)],
    ),
    ("line ends", &[("values_with_line_ends_and_blanks", 6)]),
    ("blanks", &[("values_with_line_ends_and_blanks", 3)]),
    (
        "secrets by their shape",
        &[
            ("values_with_line_ends_and_blanks", 3),
            ("values_of_another_place_or_another_list", 3),
        ],
    ),
    (
        "semicolons and references",
        &[("values_of_another_place_or_another_list", 6)],
    ),
    (
        "the address of the metadata",
        &[("values_of_another_place_or_another_list", 3)],
    ),
    (
        "a path on an origin",
        &[("values_of_another_place_or_another_list", 3)],
    ),
];

/// Key files in other forms.
const KEY_FILES: [Kind; 4] = [
    (
        "literal line ends, base64, base64 without frame, UTF-16, DER, PKCS#12: three keys each",
        &[("key_files_in_other_forms", 18)],
    ),
    ("a certificate", &[("key_files_without_a_private_key", 3)]),
    (
        "a public key, a JSON Web Key, a folder",
        &[("key_files_without_a_private_key", 10)],
    ),
    (
        "the line ends of Windows",
        &[("keys_with_windows_line_ends_are_read", 3)],
    ),
];

/// The needs of a start.
const NEEDS: [Kind; 6] = [
    ("rights of folders", &[("folders_that_cannot_be_written", 3)]),
    (
        "files of sessions",
        &[("files_of_sessions_that_cannot_be_used", 6)],
    ),
    ("free space", &[("folders_on_a_disk_without_space", 3)]),
    ("descriptors", &[("a_low_limit_of_open_files", 3)]),
    ("addresses", &[("addresses_that_cannot_be_listened_on", 4)]),
    (
        "a session store without an answer",
        &[
            ("a_session_store_that_cannot_be_reached", 2),
            ("a_redis_that_gives_no_answer", 5),
        ],
    ),
];

/// Facts that belong together.
const FACTS: [Kind; 10] = [
    (
        "a client that was deleted",
        &[("a_client_that_was_deleted_at_the_idp", 3)],
    ),
    (
        "the issuer of another IdP",
        &[("an_issuer_and_the_address_of_another_idp", 4)],
    ),
    (
        "an answer that is not JSON",
        &[
            ("an_answer_that_is_not_json_is_described", 5),
            ("an_answer_that_is_not_json_at_an_endpoint", 3),
        ],
    ),
    (
        "keys of the IdP that cannot be used",
        &[("keys_of_the_idp_that_cannot_be_used", 6)],
    ),
    (
        "an unknown authority",
        &[("doctor_and_log_name_the_file_of_authorities", 3)],
    ),
    (
        "pushed requests refused without a reason",
        &[("an_endpoint_of_pushed_requests_that_refuses_by_itself", 3)],
    ),
    (
        "scopes that are not listed",
        &[("scopes_that_the_idp_grants_without_listing_them", 4)],
    ),
    (
        "servers that give no answer",
        &[
            ("an_idp_that_gives_no_answer", 7),
            ("a_service_that_gives_no_answer", 6),
        ],
    ),
    (
        "a container's view",
        &[("rows_that_differ_outside_of_a_container_are_marked", 5)],
    ),
    (
        "routes that cannot work",
        &[("routes_that_cannot_work_are_noted_everywhere", 4)],
    ),
];

/// Experiments after an unexplained refusal of the client.
const EXPERIMENTS: [Kind; 5] = [
    ("audience and type", &[("audience_and_typ", 4)]),
    (
        "the clock",
        &[("clock", 2), ("a_clock_that_is_wrong_by_seconds", 1)],
    ),
    (
        "key ids and keys",
        &[("a_key_under_another_kid", 2), ("a_key_that_does_not_sign", 3)],
    ),
    ("methods", &[("another_method", 5)]),
    (
        "few requests",
        &[("experiments_are_few_and_end_when_the_idp_asks", 3)],
    ),
];

const SOURCES: [&str; 10] = [
    include_str!("answers.rs"),
    include_str!("authority.rs"),
    include_str!("breaks.rs"),
    include_str!("contract.rs"),
    include_str!("damaged.rs"),
    include_str!("experiments.rs"),
    include_str!("outages.rs"),
    include_str!("report.rs"),
    include_str!("space.rs"),
    include_str!("starts.rs"),
];

#[test]
fn every_kind_has_three_instances_in_tests() {
    let kinds = VALUES
        .iter()
        .chain(&KEY_FILES)
        .chain(&NEEDS)
        .chain(&FACTS)
        .chain(&EXPERIMENTS);
    for (kind, tests) in kinds {
        let instances: usize = tests.iter().map(|(_, instances)| instances).sum();
        assert!(instances >= LEAST, "{kind}: {instances}");
        for (test, _) in *tests {
            let begin = format!("\nasync fn {test}() {{");
            assert!(
                SOURCES.iter().any(|source| source.contains(&begin)),
                "{kind}: there is no test {test}"
            );
        }
    }
}
