//! `bff sessions list|show|end|stats`: asks the running server through `BFF_ADMIN_SOCKET`.

mod text;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use super::{
    Exit,
    ask::{self, AskError},
    complain, complain_of, process, say,
};
use crate::{
    admin::EndedSessions,
    diagnostic::{Explained, Knob, fix},
};

/// The end of a million sessions takes its time.
const PATIENCE: Duration = Duration::from_mins(10);

const EXAMPLES: &str = "\
Examples:
  bff sessions list --user u-ada          the sessions of a person (`sub` at the identity provider)
  bff sessions list --json                the first 1,000 of all, as JSON
  bff sessions show 3q2-7wZ5cX1hT0yKf8aVbA
  bff sessions end --user u-ada           logs a person out everywhere
  bff sessions end --ref 3q2-7wZ5cX1hT0yKf8aVbA
  bff sessions end --all --yes            logs everybody out

Exit codes: 0 done, 1 no such session, 64 settings or command line, 69 no server or no session store answers.";

/// The action on the sessions.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum SessionsCommand {
    /// List the sessions of a person or of a login at the IdP; without either, the first 1,000 of all.
    #[command(after_help = EXAMPLES)]
    List {
        /// Those of the person with this `sub` at the IdP.
        #[arg(long, value_name = "SUB", allow_hyphen_values = true, conflicts_with = "sid")]
        user: Option<String>,
        /// Those of the login with this `sid` at the IdP.
        #[arg(long, value_name = "SID", allow_hyphen_values = true)]
        sid: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the data of one session. Never a token or a cookie.
    Show {
        /// Its reference, as the log and the list have it.
        #[arg(allow_hyphen_values = true)]
        reference: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End sessions at once, on all replicas, and revoke their tokens.
    #[command(after_help = EXAMPLES)]
    End {
        #[command(flatten)]
        which: Which,
        /// With `--all`: really all, so that everybody has to log in again.
        #[arg(long)]
        yes: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show how many sessions there are.
    Stats {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which sessions end.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Those of the person with this `sub` at the IdP.
    #[arg(long, value_name = "SUB", allow_hyphen_values = true)]
    user: Option<String>,
    /// Those of the login with this `sid` at the IdP.
    #[arg(long, value_name = "SID", allow_hyphen_values = true)]
    sid: Option<String>,
    /// The one with this reference.
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    r#ref: Option<String>,
    /// All of them; with `--yes`.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(command: SessionsCommand) -> Exit {
    if let SessionsCommand::End {
        which: Which { all: true, .. },
        yes: false,
        ..
    } = command
    {
        complain("this logs everybody out: say so with --yes");
        return Exit::Configuration;
    }
    let config = match process::settings() {
        Ok((config, _)) => config,
        Err(exit) => return exit,
    };
    let Some(socket) = &config.server.admin_socket else {
        let fix = fix!(
            "set {} for the server and for this command, to a path such as /run/bff/admin.sock",
            Knob::AdminSocket
        );
        complain_of(
            &Explained::new("the server has no socket for this command", fix),
            &config,
        );
        return Exit::Configuration;
    };
    let server = Server(socket.clone());
    let mut found = true;
    let outcome = match command {
        SessionsCommand::List { user, sid, json } => {
            let all = user.is_none() && sid.is_none();
            let query = query(&[("user", user), ("sid", sid), ("all", all.then(yes))]);
            server.asked("GET", &format!("/sessions?{query}"), json, text::list)
        }
        SessionsCommand::Show { reference, json } => {
            let query = query(&[("ref", Some(reference))]);
            server.asked("GET", &format!("/sessions?{query}"), json, text::one)
        }
        SessionsCommand::End { which, json, .. } => {
            let Which {
                user,
                sid,
                r#ref,
                all,
            } = which;
            let query = query(&[
                ("user", user),
                ("sid", sid),
                ("ref", r#ref),
                ("all", all.then(yes)),
            ]);
            server.asked(
                "DELETE",
                &format!("/sessions?{query}"),
                json,
                |ended: &EndedSessions| {
                    found = all || ended.ended > 0;
                    text::ended(ended.ended)
                },
            )
        }
        SessionsCommand::Stats { json } => server.asked("GET", "/stats", json, text::statistics),
    };
    match outcome {
        Ok(text) => {
            say(text.trim_end());
            if found {
                Exit::Success
            } else {
                complain("no such session: a person is named by `sub`, as `bff sessions list` shows it");
                Exit::Unhealthy
            }
        }
        Err(error) => {
            complain_of(&error, &config);
            error.exit()
        }
    }
}

fn yes() -> String {
    "true".to_owned()
}

fn query(parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter();
    let given = given.filter_map(|(name, value)| Some((name, value.as_deref()?)));
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(given)
        .finish()
}

/// The server behind a socket.
struct Server(PathBuf);

// === impl Server ===

impl Server {
    /// Its answer as JSON, or as `text` makes it for a person.
    fn asked<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        json: bool,
        text: impl FnOnce(&T) -> String,
    ) -> Result<String, AskError> {
        let body = ask::ask(&self.0, method, target, PATIENCE)?;
        if json {
            return Ok(body);
        }
        let answer = serde_json::from_str(&body).map_err(|_| AskError::Unreadable)?;
        Ok(text(&answer))
    }
}

// === impl AskError ===

impl AskError {
    const fn exit(&self) -> Exit {
        match self {
            Self::NoServer { .. } | Self::NotNow(_) => Exit::Unreachable,
            Self::Unknown(_) => Exit::Unhealthy,
            Self::Refused(_) => Exit::Configuration,
            Self::Unreadable => Exit::Internal,
        }
    }
}
