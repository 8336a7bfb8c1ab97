//! The templates, ours and the operator's, and the folder that overrides ours.
//!
//! A folder may contain `page.html`, `style.css`, and a message file for each language (`de.yaml`). Ours replace
//! missing files. Each placeholder of each template is escaped: the formatter knows no other way.

use std::{
    collections::BTreeMap,
    error::Error as _,
    fmt, fs,
    io::{self, Read as _},
    path::Path,
};

use minijinja::{
    Environment, UndefinedBehavior,
    value::{Serde, ValueKind},
};
use serde::Serialize;

use super::{Action, escape, messages::Languages};

/// The layout of every page.
const PAGE: &str = "page.html";
/// Its style, which [`PAGE`] includes.
const STYLE: &str = "style.css";
/// The required head of every page, with any template. It cannot be overridden.
const HEAD: &str = "head.html";

/// A larger file is refused, in bytes.
const MAX_FILE_SIZE: u64 = 256 * 1024;

/// All templates, compiled.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    /// How files are shown in errors: by their path, or as ours.
    shown: BTreeMap<String, String>,
}

/// A mistake in a template or message file.
#[derive(Debug)]
pub struct PagesError {
    file: String,
    line: Option<u64>,
    message: String,
}

/// Reads our templates and message files, and those of `folder` over them.
///
/// # Errors
///
/// [`PagesError`], the first mistake.
pub(super) fn read(folder: Option<&Path>) -> Result<(Templates, Languages), PagesError> {
    let mut templates = Templates::built_in()?;
    let mut languages = Languages::built_in()
        .map_err(|(file, mistake)| PagesError::new(&file, Some(mistake.line), mistake.message))?;
    let Some(folder) = folder else {
        return Ok((templates, languages));
    };
    for name in names(folder)? {
        let path = folder.join(&name);
        let shown = path.display().to_string();
        let text = |path: &Path| read_file(path).map_err(|message| PagesError::new(&shown, None, message));
        match (name.as_str(), name.strip_suffix(".yaml")) {
            (PAGE | STYLE, _) => templates.override_with(&name, &shown, text(&path)?)?,
            (_, Some(language)) if is_language(language) => languages
                .override_with(language, &text(&path)?)
                .map_err(|mistake| PagesError::new(&shown, Some(mistake.line), mistake.message))?,
            _ => {
                let message = format!(
                    "is no file that counts here: the folder may hold {PAGE}, {STYLE}, and texts such as `de.yaml`, \
                     named by language"
                );
                return Err(PagesError::new(&shown, None, message));
            }
        }
    }
    Ok((templates, languages))
}

/// The files of `folder` in the order of their names. Hidden files and files that cannot be templates are ignored: a
/// README, an image, the files that Kubernetes adds to a mounted folder.
fn names(folder: &Path) -> Result<Vec<String>, PagesError> {
    let unreadable = |error: &io::Error| {
        let message = format!("cannot be read as a folder of templates: {error}");
        PagesError::new(&folder.display().to_string(), None, message)
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(&error))? {
        let name = entry.map_err(|error| unreadable(&error))?.file_name();
        let Some(name) = name.to_str() else { continue };
        let counts = [".html", ".htm", ".css", ".yaml", ".yml", ".jinja", ".j2"]
            .iter()
            .any(|extension| name.to_ascii_lowercase().ends_with(extension));
        if counts && !name.starts_with('.') {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn read_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    // Looked at before it is opened: opening a FIFO would wait for a writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_SIZE + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(format!("is larger than {} KiB", MAX_FILE_SIZE / 1024));
    }
    String::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())
}

/// The form of a language tag (RFC 5646 section 2.1), as far as files are named by it.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let primary = parts.next().unwrap_or_default();
    (2..=3).contains(&primary.len())
        && primary.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

// === impl Templates ===

impl Templates {
    fn built_in() -> Result<Self, PagesError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(|out, _, value| {
            let text = match value.kind() {
                ValueKind::None => String::new(),
                _ => escape(&value.to_string()),
            };
            fmt::Write::write_str(out, &text).map_err(|_| minijinja::ErrorKind::WriteFailure.into())
        });
        let mut templates = Self {
            environment,
            shown: BTreeMap::new(),
        };
        for (name, text) in [
            (HEAD, include_str!("head.html")),
            (STYLE, include_str!("style.css")),
            (PAGE, include_str!("page.html")),
        ] {
            templates.override_with(name, &format!("{name} (built in)"), text.to_owned())?;
        }
        Ok(templates)
    }

    fn override_with(&mut self, name: &str, shown: &str, text: String) -> Result<(), PagesError> {
        self.shown.insert(name.to_owned(), shown.to_owned());
        self.environment
            .add_template_owned(name.to_owned(), text)
            .map_err(|error| self.mistake(&error))
    }

    /// The page that `context` describes.
    pub(super) fn render(&self, context: &impl Serialize) -> Result<String, PagesError> {
        self.environment
            .get_template(PAGE)
            .and_then(|page| page.render(Serde(context)))
            .map_err(|error| self.mistake(&error))
    }

    /// Whether a page that was rendered as a sample serves its purpose.
    pub(super) fn check_sample(
        &self,
        html: &str,
        action: Option<&Action<'_>>,
        target: &str,
    ) -> Result<(), PagesError> {
        let missing = |message: &str| {
            let file = self.shown.get(PAGE).map_or(PAGE, String::as_str);
            Err(PagesError::new(file, None, message.to_owned()))
        };
        let head = match action {
            Some(Action::Continue { .. }) => "http-equiv=\"refresh\"",
            Some(Action::Post { .. }) => "name=\"referrer\"",
            None | Some(Action::Link { .. }) => "charset=",
        };
        if !html.contains(head) {
            return missing("does not include head.html: write `{% include \"head.html\" %}` below `<head>`");
        }
        if action.is_some() && !html.contains(target) {
            return missing(
                "does not offer the action of a page: `action.href` must lead somewhere for each `action.kind`",
            );
        }
        if let Some(Action::Post { fields, .. }) = action
            && !fields
                .iter()
                .all(|(name, value)| html.contains(name) && html.contains(value))
        {
            return missing(
                "does not post the fields of a form: each of `action.fields` must be a hidden input",
            );
        }
        Ok(())
    }

    fn mistake(&self, error: &minijinja::Error) -> PagesError {
        // The error in an included file is the source of the error of the include.
        let mut deepest = error;
        while let Some(source) = deepest.source().and_then(|source| source.downcast_ref()) {
            deepest = source;
        }
        let name = deepest.name().unwrap_or(PAGE);
        let file = self.shown.get(name).map_or(name, String::as_str);
        let line = deepest.line().and_then(|line| u64::try_from(line).ok());
        let message = deepest.detail().map_or_else(
            || deepest.kind().to_string(),
            |detail| format!("{}: {detail}", deepest.kind()),
        );
        PagesError::new(file, line, message)
    }
}

// === impl PagesError ===

impl PagesError {
    fn new(file: &str, line: Option<u64>, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: line.filter(|line| *line > 0),
            message,
        }
    }
}

impl fmt::Display for PagesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for PagesError {}

#[cfg(test)]
mod tests {
    use super::super::{Brand, PageOptions, Pages};
    use super::*;

    /// The errors of a folder with these files.
    fn mistake(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let options = PageOptions {
            templates: Some(folder.path().to_owned()),
            brand: Brand::default(),
        };
        let message = match Pages::new(&options) {
            Ok(_) => return String::new(),
            Err(error) => error.to_string(),
        };
        let prefix = format!("{}/", folder.path().display());
        message.strip_prefix(&prefix).unwrap_or(&message).to_owned()
    }

    /// A valid page with `body` in it.
    fn page(body: &str) -> String {
        format!(
            "<!doctype html>\n<head>{{% include \"head.html\" %}}</head>\n\
             {{% if action %}}<form action=\"{{{{ action.href }}}}\">\
             {{% for field in action.fields %}}{{{{ field.name }}}}={{{{ field.value }}}}{{% endfor %}}</form>{{% endif %}}\n\
             {body}\n"
        )
    }

    #[test]
    fn files_that_are_right_or_not_meant_are_taken() {
        for files in [
            &[][..],
            &[("page.html", page("<h1>{{ title }}</h1>").as_str())],
            &[("style.css", "h1{color:{{ brand.color }}}")],
            &[
                ("de.yaml", "logged_out.title: Auf Wiedersehen\n"),
                ("pt-BR.yaml", ""),
            ],
            &[("README.md", "x"), (".hidden.html", "{{"), ("logo.svg", "<svg/>")],
        ] {
            assert_eq!(mistake(files), "", "{files:?}");
        }
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        for (name, text, expected) in [
            ("page.html", page("\n{{ titel }}"), "page.html:5: "),
            ("page.html", page("{% if %}"), "page.html:4: "),
            ("page.html", page("\n\n{{ title"), "page.html:"),
            ("page.html", page("{{ brand.nmae }}"), "page.html:4: "),
            ("page.html", page("{{ title | shout }}"), "page.html:4: "),
            ("page.html", page("{% include \"foo.html\" %}"), "page.html:4: "),
            // Only seen on some pages.
            (
                "page.html",
                page("{% if page == \"logged_out\" %}{{ tilte }}{% endif %}"),
                "page.html:4: ",
            ),
            (
                "style.css",
                "a{}\nb{color:{{ brand.colour }}}".to_owned(),
                "style.css:2: ",
            ),
            (
                "de.yaml",
                "# x\nlogged_out.titel: x\n".to_owned(),
                "de.yaml:2: there is no text called",
            ),
            (
                "page.html",
                "<h1>{{ title }}</h1>".to_owned(),
                "page.html: does not include head.html",
            ),
            (
                "page.html",
                "{% include \"head.html\" %}{{ title }}".to_owned(),
                "page.html: does not offer the action",
            ),
            (
                "page.html",
                "{% include \"head.html\" %}{% if action %}{{ action.href }}{% endif %}".to_owned(),
                "page.html: does not post the fields",
            ),
            (
                "login.html",
                String::new(),
                "login.html: is no file that counts here",
            ),
            ("de.yml", String::new(), "de.yml: is no file that counts here"),
            (
                "german.yaml",
                String::new(),
                "german.yaml: is no file that counts here",
            ),
        ] {
            let message = mistake(&[(name, &text)]);
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
        let large = "x".repeat(300 * 1024);
        assert_eq!(
            mistake(&[("style.css", &large)]),
            "style.css: is larger than 256 KiB"
        );
        let missing = PageOptions {
            templates: Some("/nowhere/at/all".into()),
            brand: Brand::default(),
        };
        let message = Pages::new(&missing).unwrap_err().to_string();
        assert!(
            message.starts_with("/nowhere/at/all: cannot be read"),
            "{message}"
        );
    }

    #[test]
    fn nothing_in_a_template_switches_the_escaping_off() {
        let folder = tempfile::tempdir().unwrap();
        let evil = "{{ brand.name }}|{{ brand.name | safe }}|{% autoescape false %}{{ brand.name }}{% endautoescape %}|\
                    {% autoescape \"none\" %}{{ brand.name | e }}{% endautoescape %}";
        fs::write(folder.path().join(PAGE), page(evil)).unwrap();
        let options = PageOptions {
            templates: Some(folder.path().to_owned()),
            brand: Brand {
                name: Some("<script>\"'&".to_owned()),
                ..Brand::default()
            },
        };
        let pages = Pages::new(&options).unwrap();
        let page = super::super::Page {
            key: "logged_out",
            fallback: ("", ""),
            answer: None,
            action: None,
            start: None,
            footnote: None,
        };
        let english = pages.languages.choose(None);
        let html = pages.html(english, &page).unwrap();
        assert!(!html.contains("<script>") && !html.contains("\"'&"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;").count(), 3, "{html}");
    }
}
