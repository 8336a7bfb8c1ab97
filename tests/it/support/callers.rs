//! People who never stop calling, and how soon after a fault all of them are served again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bff::clock::{Clock as _, SystemClock, Timestamp};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::task::{JoinError, JoinSet};

use super::Browser;

/// Between an answer and the next call.
const PAUSE: Duration = Duration::from_millis(20);

/// One at each replica, who calls an API as soon as the last call is answered.
pub struct Callers {
    answers: Arc<Mutex<Vec<Answer>>>,
    count: usize,
    tasks: JoinSet<()>,
}

/// The answer that one of them got.
struct Answer {
    /// When the call began.
    began: Timestamp,
    whose: usize,
    /// The code of the problem, where it was not served.
    problem: Option<String>,
}

// === impl Callers ===

impl Callers {
    /// They begin at once.
    pub fn at(replicas: &[Browser]) -> Self {
        let answers = Arc::<Mutex<Vec<Answer>>>::default();
        let mut tasks = JoinSet::new();
        for (whose, browser) in replicas.iter().cloned().enumerate() {
            let answers = Arc::clone(&answers);
            tasks.spawn(async move {
                loop {
                    let began = SystemClock.now();
                    let reply = browser.get_json("/api/hello").await;
                    let problem = match reply.status {
                        StatusCode::OK => None,
                        _ if reply.header("content-type") == Some("application/problem+json") => {
                            Some(reply.code())
                        }
                        other => Some(other.to_string()),
                    };
                    answers.lock().push(Answer {
                        began,
                        whose,
                        problem,
                    });
                    SystemClock.sleep(PAUSE).await;
                }
            });
        }
        Self {
            answers,
            count: replicas.len(),
            tasks,
        }
    }

    /// The fault is over at this moment: waits until each of them has been served since, and returns how long that took.
    ///
    /// Fails where it takes longer than `bound`, which is what the documentation promises.
    #[expect(
        clippy::print_stdout,
        reason = "a measurement, for the person who asks for it"
    )]
    pub async fn are_served_again(&self, fault: &str, bound: Duration) -> Duration {
        let end = SystemClock.now();
        loop {
            let taken = SystemClock.now().duration_since(end);
            let served: BTreeSet<usize> = self
                .answers
                .lock()
                .iter()
                .filter(|answer| answer.began >= end && answer.problem.is_none())
                .map(|answer| answer.whose)
                .collect();
            if served.len() == self.count {
                println!("recovered from {fault} after {} ms", taken.as_millis());
                return taken;
            }
            assert!(taken <= bound, "{fault}: {served:?} of {} are served", self.count);
            SystemClock.sleep(PAUSE / 4).await;
        }
    }

    /// Lets them call for a while.
    pub async fn go_on(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }

    /// They stop. All that they were ever told beside what they asked for is among `problems`: above all, nobody was told to
    /// log in.
    #[expect(
        clippy::print_stdout,
        reason = "a measurement, for the person who asks for it"
    )]
    pub fn were_told_nothing_but(mut self, problems: &[&str]) {
        self.tasks.abort_all();
        // A caller that has failed says so here.
        while let Some(ended) = self.tasks.try_join_next() {
            assert!(ended.as_ref().is_err_and(JoinError::is_cancelled), "{ended:?}");
        }
        let mut told = BTreeMap::<String, usize>::new();
        let answers = self.answers.lock();
        for problem in answers.iter().filter_map(|answer| answer.problem.as_ref()) {
            *told.entry(problem.clone()).or_default() += 1;
        }
        println!("{} answers, of which not served: {told:?}", answers.len());
        for problem in told.keys() {
            assert!(problems.contains(&&**problem), "{told:?}");
        }
        let served: BTreeSet<usize> = answers.iter().map(|answer| answer.whose).collect();
        assert_eq!(served.len(), self.count);
    }
}
