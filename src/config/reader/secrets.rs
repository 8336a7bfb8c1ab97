//! Secrets, from a variable or from the file that is named for them.

use super::{
    super::{
        catalogue, damage,
        problem::shown,
        sources::{Content, SecretFile, read_secret},
    },
    Reader,
};
use crate::secret::Secret;

// === impl Reader ===

impl Reader {
    /// The secret `name`, from the variable or from the file that is named for it. An empty file counts as unset.
    pub(in crate::config) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let secret = self.secret_as_found(name, true)?;
        match damage::complaint(catalogue::find(name)?, secret.expose(), false) {
            None => Some(secret),
            Some(complaint) => {
                self.refuse(name, complaint);
                self.mark_refused(name);
                None
            }
        }
    }

    fn secret_as_found(&mut self, name: &'static str, is_needed: bool) -> Option<Secret> {
        let path = match &self.values.get(name)?.content {
            Content::Text(text) => return Some(Secret::from(text.as_str())),
            Content::List(_) | Content::Refused => return None,
            Content::SecretFile(path) => path.clone(),
        };
        match read_secret(&path, self.guard) {
            Ok(SecretFile { secret, exposed }) => {
                let label = self.label(name);
                let file = shown(&path.to_string_lossy());
                if let Some(exposed) = exposed {
                    self.warn(label, format!("{file}: {exposed}"));
                } else if secret.is_none() && is_needed {
                    self.warn(
                        label,
                        format!("the file {file} is empty; the value counts as unset"),
                    );
                }
                secret
            }
            Err(complaint) => {
                let place = self.place(name);
                self.mark_refused(name);
                self.problem(place, Some(shown(&path.to_string_lossy())), complaint);
                None
            }
        }
    }

    /// The secret `name`, which was needed once: where its file has been taken away since, or it is damaged, it counts as
    /// unset.
    pub(in crate::config) fn secret_needed_unless(
        &mut self,
        name: &'static str,
        done: bool,
    ) -> Option<Secret> {
        if let Content::SecretFile(path) = &self.values.get(name)?.content
            && done
            && matches!(path.try_exists(), Ok(false))
        {
            return None;
        }
        if !done {
            return self.secret(name);
        }
        let secret = self.secret_as_found(name, false)?;
        if let Some(damage) = damage::complaint(catalogue::find(name)?, secret.expose(), false) {
            let label = self.label(name);
            self.warn(
                label,
                format!(
                    "{}; it counts as unset, because it is not needed any more",
                    damage.message
                ),
            );
            return None;
        }
        Some(secret)
    }
}
