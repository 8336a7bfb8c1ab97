//! Connections for one request that becomes something else: they never come from the pool and never return to it.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use tower::ServiceExt as _;

use super::{Arriving, SendError, Upstream};
use crate::head;

// === impl Upstream ===

impl Upstream {
    /// Sends `request`, whose URI is a path, over a connection of its own, with HTTP/1.1. The answer may switch
    /// protocols.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub(in crate::gateway) async fn alone(
        &self,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Response<Arriving>, SendError> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        let stream = self.alone.clone().oneshot(self.origin.clone()).await;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(head::READ_FIELDS)
            .max_buf_size(head::READ_BYTES)
            .handshake(stream.map_err(SendError::Connect)?)
            .await?;
        // It ends with the answer's body, or when the connection has switched.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a service ended early");
            }
        });
        Ok(sender.send_request(request).await?.map(Arriving::undriven))
    }
}
