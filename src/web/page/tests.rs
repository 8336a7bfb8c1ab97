use http::header::CONTENT_SECURITY_POLICY;

use super::*;

fn pages(brand: Brand) -> Pages {
    Pages::new(&PageOptions {
        brand,
        templates: None,
    })
    .unwrap()
}

fn page(key: &str) -> Page<'_> {
    Page {
        key,
        fallback: ("Fallback title", "Fallback text."),
        answer: None,
        action: None,
        start: None,
        footnote: None,
    }
}

fn html(page: &Page<'_>) -> String {
    let pages = pages(Brand::default());
    pages.html(pages.languages.choose(None), page).unwrap()
}

fn policy(pages: &Pages, page: &Page<'_>) -> String {
    let response = pages.respond(&HeaderMap::new(), page);
    response.headers()[CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn everything_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let fields = [(evil, evil)];
    for action in [
        Action::Post {
            label: Label::LogOut,
            path: evil,
            fields: &fields,
        },
        Action::Link {
            label: Label::TryAgain,
            href: evil,
        },
        Action::Continue { href: evil },
    ] {
        let html = html(&Page {
            fallback: (evil, "{answer}"),
            answer: Some(evil),
            action: Some(action),
            start: Some((Label::GoToStartPage, evil)),
            footnote: Some((evil, evil)),
            ..page(evil)
        });
        assert!(!html.contains("<script>"), "{html}");
        assert!(!html.contains("\"'&"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() > 4);
    }
}

#[test]
fn a_page_that_goes_on_says_where() {
    let html = html(&Page {
        action: Some(Action::Continue {
            href: "https://a.example/?b=c&d=e",
        }),
        ..page("logged_in")
    });
    assert!(
        html.contains("content=\"0;url=https://a.example/?b=c&amp;d=e\""),
        "{html}"
    );
}

#[test]
fn texts_come_in_the_language_of_the_person() {
    let pages = pages(Brand::default());
    for (accept, language, title) in [
        ("de-CH, en;q=0.5", "de", "Sie sind abgemeldet"),
        ("fr", "fr", "Vous êtes déconnecté"),
        ("es-MX", "es", "Has cerrado la sesión"),
        ("ja", "en", "You are logged out"),
    ] {
        let accept = HeaderValue::from_str(accept).unwrap();
        let response = pages.respond_in(Some(&accept), &page("logged_out"));
        assert_eq!(response.headers()[CONTENT_LANGUAGE], language);
        assert_eq!(response.headers()[VARY], "accept, accept-language");
        let html = pages
            .html(pages.languages.choose(Some(&accept)), &page("logged_out"))
            .unwrap();
        assert!(html.contains(&format!("<html lang=\"{language}\">")), "{html}");
        assert!(html.contains(&format!("<title>{title}</title>")), "{html}");
        assert!(html.contains(&format!("<h1>{title}</h1>")));
    }
}

#[test]
fn a_page_that_no_file_knows_says_what_it_was_given() {
    let html = html(&page("made_up_code"));
    assert!(html.contains("<h1>Fallback title</h1>") && html.contains("<p>Fallback text.</p>"));
}

#[test]
fn the_answer_of_the_provider_stands_in_its_place() {
    let html = html(&Page {
        answer: Some("invalid_scope<"),
        ..page("idp_refused_because")
    });
    assert!(html.contains("It answered: invalid_scope&lt;."), "{html}");
}

#[test]
fn the_brand_is_shown_and_its_logo_alone_is_allowed() {
    let plain = pages(Brand::default());
    let html_of = |pages: &Pages| {
        pages
            .html(pages.languages.choose(None), &page("logged_out"))
            .unwrap()
    };
    assert!(!html_of(&plain).contains("class=\"brand\""));
    assert!(!policy(&plain, &page("logged_out")).contains("img-src"));

    let branded = pages(Brand {
        name: Some("Ada & Söhne".to_owned()),
        logo: Some("https://cdn.example/logo.svg".to_owned()),
        color: Some(Color([0xb0, 0x00, 0x20])),
    });
    let html = html_of(&branded);
    assert!(html.contains("<span>Ada &amp; Söhne</span>"), "{html}");
    assert!(html.contains("<img src=\"https://cdn.example/logo.svg\" alt=\"\">"));
    assert!(html.contains("--accent: #b00020;") && html.contains("--on-accent: #ffffff;"));
    let strict = policy(&branded, &page("logged_out"));
    assert!(strict.contains("; img-src https://cdn.example; "), "{strict}");
    assert!(strict.starts_with("default-src 'none'; ") && !strict.contains("script"));

    // Without a name the logo speaks for itself.
    let logo = pages(Brand {
        logo: Some("/logo.svg".to_owned()),
        ..Brand::default()
    });
    assert!(html_of(&logo).contains("<img src=\"/logo.svg\" alt=\"Logo\">"));
    assert!(policy(&logo, &page("logged_out")).contains("img-src 'self'; "));
}

#[test]
fn the_policy_holds_forms_to_this_origin_but_for_the_logout() {
    let pages = pages(Brand::default());
    let form = Page {
        action: Some(Action::Post {
            label: Label::LogOut,
            path: "/auth/logout",
            fields: &[],
        }),
        ..page("log_out")
    };
    assert!(policy(&pages, &page("logged_out")).contains("form-action 'self'"));
    assert!(!policy(&pages, &form).contains("form-action"));
}

/// Every page as a person reads it: what `main` holds.
#[test]
fn every_page_in_every_language_is_as_reviewed() {
    let pages = pages(Brand::default());
    let fields = [("csrf_token", "sample-token")];
    for texts in pages.languages.iter() {
        let mut all = String::new();
        for key in texts.pages() {
            let action = match key {
                "logged_in" | "one_moment" => Action::Continue { href: "/orders" },
                "log_out" | "not_logged_out" => Action::Post {
                    label: Label::LogOut,
                    path: "/auth/logout",
                    fields: &fields,
                },
                _ => Action::Link {
                    label: Label::TryAgain,
                    href: "/auth/login",
                },
            };
            let html = pages.html(
                texts,
                &Page {
                    answer: Some("sample_answer"),
                    action: Some(action),
                    start: Some((Label::GoToStartPage, "/")),
                    footnote: Some((key, "sample-id")),
                    ..page(key)
                },
            );
            let html = html.unwrap();
            let (_, main) = html.split_once("<main>").unwrap();
            let (main, _) = main.split_once("</main>").unwrap();
            all.push_str(main);
        }
        insta::assert_snapshot!(format!("pages_{}", texts.language()), all);
    }
}

#[test]
fn a_whole_page_is_as_reviewed() {
    let whole = html(&Page {
        action: Some(Action::Link {
            label: Label::LogIn,
            href: "/auth/login",
        }),
        ..page("start_logged_out")
    });
    insta::assert_snapshot!(whole);
}
