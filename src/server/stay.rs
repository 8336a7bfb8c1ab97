//! A request that goes on after its answer: its connection has switched protocols.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    connection::Order,
    register::{Register, Turn},
    underway::Listed,
};

/// The right of a request to go on after its answer. Among the extensions of each request that can switch protocols.
#[derive(Clone)]
pub struct Stay {
    listed: Arc<Listed>,
    register: Arc<Register>,
}

/// A request that goes on: it counts as under way until this is dropped, and the stop waits for it.
pub struct Stayed {
    _listed: Arc<Listed>,
    _turn: Turn,
    _task: TaskTrackerToken,
}

// === impl Stay ===

impl Stay {
    pub(super) fn new(listed: &Arc<Listed>, register: &Arc<Register>) -> Self {
        Self {
            listed: Arc::clone(listed),
            register: Arc::clone(register),
        }
    }

    /// Goes on.
    #[must_use]
    pub fn stay(self) -> Stayed {
        let (turn, task) = self.register.stay();
        Stayed {
            _listed: self.listed,
            _turn: turn,
            _task: task,
        }
    }

    /// Resolves when it has to end, and says how fast.
    #[must_use]
    pub fn told(&self) -> BoxFuture<'static, Order> {
        let finishing = self.register.finishing();
        let connection = Arc::clone(self.listed.connection());
        Box::pin(async move {
            // The task of an HTTP/2 connection lives on, and hears this itself.
            let told = async {
                if connection.is_http2() {
                    std::future::pending::<()>().await;
                }
                connection.told().await
            };
            tokio::select! {
                biased;
                () = finishing.cancelled() => Order::Finish,
                order = told => order,
            }
        })
    }
}
