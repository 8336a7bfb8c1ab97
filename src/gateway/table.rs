//! The routing table and the connections to its services, which are replaced together.

use std::sync::Arc;

use http::Method;

use super::{BuildError, Found, Gateway, NormalPath, Routes, guard::Guards, upstream::Upstreams};

/// The routing table and the connections to its services. A call keeps the one that it began with.
#[derive(Debug)]
pub struct Table {
    routes: Routes,
    pub(super) upstreams: Upstreams,
    pub(super) guards: Guards,
}

// === impl Table ===

impl Table {
    pub(super) fn new(routes: Routes, upstreams: Upstreams, former: Option<&Self>) -> Self {
        let guards = Guards::after(former.map(|former| &former.guards), routes.services());
        Self {
            routes,
            upstreams,
            guards,
        }
    }

    /// The route for `host`, `path` and `method`.
    #[must_use]
    pub fn find<'a>(&'a self, host: &str, path: &'a NormalPath, method: &Method) -> Found<'a> {
        self.routes.find(host, path, method)
    }

    /// The routes.
    #[must_use]
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }
}

// === impl Gateway ===

impl Gateway {
    /// The table for calls that begin now.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Replaces the table. Calls under way keep the former one, and services whose connections have the same settings
    /// keep their connections. A breaker with the same settings keeps its state.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: TLS towards a service cannot be set up. The former table stays.
    pub fn reload(&self, routes: Routes) -> Result<(), BuildError> {
        let former = self.table();
        let upstreams = Upstreams::after(&former, &routes, &self.options, &self.clock)?;
        *self.table.write() = Arc::new(Table::new(routes, upstreams, Some(&former)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr, sync::Arc};

    use axum::{Router, body::Body, extract::ConnectInfo, response::Response, routing::any};
    use http::Request;
    use http_body_util::BodyExt as _;
    use parking_lot::Mutex;
    use tokio::net::TcpListener;

    use super::*;
    use crate::gateway::{
        Options,
        loopback::{logged_in, system_clock},
    };

    /// A service that notes the connections on which calls arrive.
    async fn service() -> (SocketAddr, Arc<Mutex<BTreeSet<SocketAddr>>>) {
        let peers = Arc::new(Mutex::new(BTreeSet::new()));
        let notes = Arc::clone(&peers);
        let note = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            notes.lock().insert(peer);
            Response::new(Body::from("x"))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(any(note));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        (address, peers)
    }

    fn routes(one: SocketAddr, settings: &str, paths: &[&str]) -> Routes {
        let mut text = format!(
            "services:\n  one: {{ base_url: 'http://{one}', {settings} }}\n  two: {{ base_url: 'http://127.0.0.1:1' }}\nroutes:\n"
        );
        for path in paths {
            let length = path.len();
            writeln!(text, "- {{ id: r{length}, path: '{path}', target_service: one }}").unwrap();
        }
        Routes::parse(&text).unwrap()
    }

    async fn get(gateway: &Gateway, path: &str) -> Option<String> {
        let table = gateway.table();
        let path = NormalPath::parse(path).unwrap();
        let Found::Match(matched) = table.find("", &path, &Method::GET) else {
            return None;
        };
        let request = Request::get(path.as_str()).body(Body::empty()).unwrap();
        let mut call = gateway.call(&table, matched, request, logged_in()).unwrap();
        let answer = call.send().await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Some(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_reload_changes_routes_and_keeps_connections() {
        for settings in ["timeout: 30s", "timeout: { connect: 3s }"] {
            let (address, peers) = service().await;
            let gateway = Gateway::new(
                routes(address, settings, &["/a/*"]),
                Options::default(),
                system_clock(),
            )
            .unwrap();
            assert_eq!(get(&gateway, "/a/x").await.as_deref(), Some("x"));
            assert_eq!(get(&gateway, "/bb/x").await, None);
            gateway
                .reload(routes(address, settings, &["/a/*", "/bb/*"]))
                .unwrap();
            assert_eq!(get(&gateway, "/a/x").await.as_deref(), Some("x"));
            assert_eq!(get(&gateway, "/bb/x").await.as_deref(), Some("x"));
            assert_eq!(peers.lock().len(), 1, "{settings}");
            // Other settings of its connections.
            gateway
                .reload(routes(address, "timeout: { connect: 4s }", &["/a/*"]))
                .unwrap();
            assert_eq!(get(&gateway, "/bb/x").await, None);
            assert_eq!(get(&gateway, "/a/x").await.as_deref(), Some("x"));
            assert_eq!(peers.lock().len(), 2, "{settings}");
        }
    }

    #[tokio::test]
    async fn a_call_under_way_keeps_the_table_that_it_began_with() {
        let (address, _) = service().await;
        let gateway = Gateway::new(
            routes(address, "h2c: false", &["/a/*"]),
            Options::default(),
            system_clock(),
        )
        .unwrap();
        let table = gateway.table();
        let path = NormalPath::parse("/a/x").unwrap();
        let Found::Match(matched) = table.find("", &path, &Method::GET) else {
            panic!();
        };
        let request = Request::get("/a/x").body(Body::empty()).unwrap();
        let mut call = gateway.call(&table, matched, request, logged_in()).unwrap();
        gateway.reload(Routes::default()).unwrap();
        let answer = call.send().await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "x");
        assert!(gateway.table().routes().is_empty());
    }
}
