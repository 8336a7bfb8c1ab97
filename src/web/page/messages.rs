//! The texts of the pages, one file a language: a flat map of keys.

use std::collections::BTreeMap;

use http::HeaderValue;

use super::{Label, language};
use crate::yaml::{self, Aliases, Value};

/// Our message files, English first: it defines the keys, and is used if no other language fits.
pub(super) const BUILT_IN: [(&str, &str); 4] = [
    ("en", include_str!("messages/en.yaml")),
    ("de", include_str!("messages/de.yaml")),
    ("fr", include_str!("messages/fr.yaml")),
    ("es", include_str!("messages/es.yaml")),
];

/// A longer text is refused, in characters.
const MAX_LENGTH: usize = 2_000;

/// All languages.
#[derive(Debug)]
pub(super) struct Languages(Vec<Texts>);

/// The texts in one language.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    language: String,
    texts: BTreeMap<String, String>,
}

/// A mistake in a message file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Its line; 0 where none is known.
    pub(super) line: u64,
    pub(super) message: String,
}

/// The entries of a file in their order, each with its line.
struct Entries(Vec<(u64, String, String)>);

// === impl Languages ===

impl Languages {
    /// Our own.
    pub(super) fn built_in() -> Result<Self, (String, Mistake)> {
        let mut languages = Self(Vec::new());
        for (language, file) in BUILT_IN {
            languages
                .override_with(language, file)
                .map_err(|mistake| (format!("{language}.yaml"), mistake))?;
        }
        Ok(languages)
    }

    /// Adds a message file. Keys that a new language lacks are English.
    pub(super) fn override_with(&mut self, language: &str, file: &str) -> Result<(), Mistake> {
        let entries = Entries::parse(file)?;
        let known = self.0.first().map(|english| english.texts.clone());
        let index = self.0.iter().position(|texts| texts.language == language);
        let index = index.unwrap_or_else(|| {
            self.0.push(Texts {
                language: language.to_owned(),
                texts: known.clone().unwrap_or_default(),
            });
            self.0.len() - 1
        });
        for (line, key, text) in entries.0 {
            let mistake = |message: String| Mistake { line, message };
            if let Some(known) = &known
                && !known.contains_key(&key)
            {
                let nearest = known
                    .keys()
                    .map(|name| (strsim::damerau_levenshtein(name, &key), name))
                    .min()
                    .filter(|(distance, _)| *distance <= 3)
                    .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"));
                return Err(mistake(format!("there is no text called {key:?}{nearest}")));
            }
            if text.trim().is_empty() {
                return Err(mistake(format!("`{key}` is empty")));
            }
            if text.chars().count() > MAX_LENGTH {
                return Err(mistake(format!("`{key}` is longer than {MAX_LENGTH} characters")));
            }
            self.0[index].texts.insert(key, text);
        }
        Ok(())
    }

    /// The preferred language of the person, otherwise English.
    pub(super) fn choose(&self, accept: Option<&HeaderValue>) -> &Texts {
        let available: Vec<&str> = self.0.iter().map(Texts::language).collect();
        let index = language::choose(accept, &available).unwrap_or(0);
        &self.0[index]
    }

    /// All of them, English first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Texts> {
        self.0.iter()
    }
}

// === impl Texts ===

impl Texts {
    /// Its tag (RFC 5646).
    pub(super) fn language(&self) -> &str {
        &self.language
    }

    /// Title and text of a page.
    pub(super) fn page(&self, key: &str) -> Option<(&str, &str)> {
        let text = |part: &str| self.texts.get(&format!("{key}.{part}")).map(String::as_str);
        Some((text("title")?, text("text")?))
    }

    /// The text of a link or button.
    pub(super) fn label(&self, label: Label) -> &str {
        self.text(label.key())
    }

    /// The text before code and correlation id.
    pub(super) fn help(&self) -> &str {
        self.text("help")
    }

    /// The keys of all pages.
    pub(super) fn pages(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().filter_map(|key| key.strip_suffix(".title"))
    }

    fn text<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts.get(key).map_or(key, String::as_str)
    }
}

// === impl Entries ===

impl Entries {
    fn parse(file: &str) -> Result<Self, Mistake> {
        let mistake = |line| Mistake {
            line,
            message:
                "this is not a flat map of `key: text`, or a key stands there twice; texts with a colon, a \
                      brace or a quotation mark have to be quoted"
                    .to_owned(),
        };
        let root = yaml::read(file, Aliases::Refused).map_err(|error| mistake(error.line))?;
        let Some(root) = root else {
            return Ok(Self(Vec::new()));
        };
        let Value::Map(entries) = root.value else {
            return Err(mistake(root.line));
        };
        let entries = entries.into_iter().map(|(key, node)| match node.value {
            Value::Text(text) => Ok((key.line, key.name, text)),
            _ => Err(mistake(node.line)),
        });
        entries.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(file: &str) -> Vec<String> {
        Entries::parse(file)
            .unwrap()
            .0
            .into_iter()
            .map(|(_, key, _)| key)
            .collect()
    }

    #[test]
    fn every_language_says_everything() {
        let [(_, english), others @ ..] = BUILT_IN;
        for (language, file) in others {
            assert_eq!(keys(file), keys(english), "{language}");
            let (ours, theirs) = (Entries::parse(english).unwrap(), Entries::parse(file).unwrap());
            for ((_, key, english), (_, _, text)) in ours.0.iter().zip(&theirs.0) {
                assert_eq!(
                    text.contains("{answer}"),
                    english.contains("{answer}"),
                    "{language}: {key}"
                );
            }
        }
    }

    #[test]
    fn no_page_tells_a_person_of_logs() {
        for (language, file) in BUILT_IN {
            for (_, key, text) in Entries::parse(file).unwrap().0 {
                let text = text.to_lowercase();
                for word in [
                    "server's log",
                    "the log ",
                    "the log.",
                    "logs",
                    "protokoll",
                    "logdatei",
                    "journal",
                    "registro",
                    "correlation",
                ] {
                    assert!(!text.contains(word), "{language}, {key}: {text}");
                }
            }
        }
    }

    #[test]
    fn a_file_of_the_operator_changes_what_it_names_alone() {
        let mut languages = Languages::built_in().unwrap();
        languages
            .override_with("de", "logged_out.title: Tschüss\n")
            .unwrap();
        languages
            .override_with("nl", "# Dutch\nlogged_out.title: U bent afgemeld\n")
            .unwrap();
        let text = |accept: &'static str| {
            let accept = HeaderValue::from_static(accept);
            let texts = languages.choose(Some(&accept));
            let (title, text) = texts.page("logged_out").unwrap();
            (texts.language().to_owned(), title.to_owned(), text.to_owned())
        };
        let english = "Your session here has ended.";
        assert_eq!(text("de").1, "Tschüss");
        assert_eq!(text("de").2, "Ihre Sitzung hier ist beendet.");
        assert_eq!(
            text("nl"),
            ("nl".to_owned(), "U bent afgemeld".to_owned(), english.to_owned())
        );
        assert_eq!(text("ja").0, "en");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (file, line, message) in [
            (
                "help: Help\n\nlogged_uot.title: x\n",
                3,
                "did you mean `logged_out.title`?",
            ),
            ("zzzzzzzzzz: x\n", 1, "there is no text called \"zzzzzzzzzz\""),
            ("# a\nhelp: \"\"\n", 2, "`help` is empty"),
            ("help: a\nhelp: b\n", 2, "twice"),
            ("help: a\nlogged_out:\n  title: b\n", 3, "flat map"),
            ("help: {a\n", 0, "quoted"),
            ("- help\n", 0, "flat map"),
        ] {
            let mistake = Languages::built_in()
                .unwrap()
                .override_with("de", file)
                .unwrap_err();
            assert!(mistake.message.contains(message), "{file:?}: {mistake:?}");
            assert!(line == 0 || mistake.line == line, "{file:?}: {mistake:?}");
        }
        let long = format!("help: {}\n", "x".repeat(MAX_LENGTH + 1));
        assert!(Languages::built_in().unwrap().override_with("de", &long).is_err());
    }
}
