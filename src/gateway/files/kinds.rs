//! Media types of files, by their names.

/// The type of a file that the list does not know: browsers save it and run nothing of it.
const UNKNOWN: &str = "application/octet-stream";

/// Endings of names and their types. Text is UTF-8.
const KINDS: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("bin", UNKNOWN),
    ("bmp", "image/bmp"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("eot", "application/vnd.ms-fontobject"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml; charset=utf-8"),
    ("svg", "image/svg+xml; charset=utf-8"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml; charset=utf-8"),
    ("xml", "application/xml; charset=utf-8"),
    ("zip", "application/zip"),
];

/// The media type of a file with this name.
pub(super) fn of(name: &str) -> &'static str {
    find(name).unwrap_or(UNKNOWN)
}

/// Whether a segment of a path names a script, an image or another part of a page: if it is missing, no page answers for it,
/// since a page in the place of a script breaks the application without a word.
pub(super) fn is_part_of_a_page(segment: &str) -> bool {
    find(segment).is_some_and(|kind| !kind.starts_with("text/html"))
}

fn find(name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    let at = KINDS.binary_search_by(|(known, _)| (*known).cmp(ending.as_str()));
    Some(KINDS.get(at.ok()?)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_type() {
        assert!(KINDS.is_sorted_by_key(|(ending, _)| *ending));
        for (name, expected) in [
            ("app.js", "text/javascript; charset=utf-8"),
            ("APP.JS", "text/javascript; charset=utf-8"),
            ("a.b.woff2", "font/woff2"),
            ("LICENSE", UNKNOWN),
            ("x.exe", UNKNOWN),
            ("index.html", "text/html; charset=utf-8"),
        ] {
            assert_eq!(of(name), expected);
        }
        for (name, expected) in [
            ("app.js", true),
            ("logo.svg", true),
            ("jane.doe", false),
            ("about", false),
            ("about.html", false),
        ] {
            assert_eq!(is_part_of_a_page(name), expected, "{name}");
        }
    }
}
