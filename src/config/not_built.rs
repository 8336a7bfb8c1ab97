//! Switches that are named already but not built yet: anything but their default stops the start.

use super::{
    catalogue::{Kind, VARIABLES, Variable},
    parse,
    path::{self, Leads},
    problem::Complaint,
    reader::Reader,
};

/// Reports every such switch that is set.
pub(super) fn check(reader: &mut Reader) {
    for variable in VARIABLES {
        let Some(only) = variable.not_built else { continue };
        let Some(text) = reader.text(variable.name) else {
            continue;
        };
        match asks_for_more(variable, &text, only) {
            Ok(false) => {}
            Ok(true) => {
                let fix = if only.is_empty() {
                    format!("remove {}", variable.name)
                } else {
                    format!("remove {} or set it to `{only}`", variable.name)
                };
                reader.complain(
                    variable.name,
                    format!("is not built yet ({})", variable.meaning),
                    fix,
                );
            }
            Err(complaint) => reader.refuse(variable.name, complaint),
        }
    }
}

fn asks_for_more(variable: &Variable, text: &str, only: &str) -> Result<bool, Complaint> {
    Ok(match variable.kind {
        Kind::Switch => parse::switch(text)?.to_string() != only,
        Kind::Number => parse::number(text, 0, u64::MAX)?.to_string() != only,
        Kind::Duration => Ok(parse::duration(text)?) != parse::duration(only),
        Kind::Choice(words) => words.get(parse::choice(text, words)?) != Some(&only),
        Kind::Path => {
            path::parse(text, Leads::ToFile)?;
            text != only
        }
        _ => text != only,
    })
}
