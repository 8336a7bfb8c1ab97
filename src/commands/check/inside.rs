//! The doctor inside a container or another network namespace: which rows would say something else outside.

use std::{fs, path::Path};

use url::Url;

use super::{
    finding::{Check, Report},
    text::{clean, list},
};
use crate::{
    app::App,
    config::{Config, Environment, Names, StoreKind},
    diagnostic::{Knob, Words as _},
    url_policy::is_this_machine,
};

/// The files that a container runtime makes in the container.
const FILES: [&str; 2] = [".dockerenv", "run/.containerenv"];

/// Parts of the name of a container's control group.
const GROUPS: [&str; 6] = ["docker", "kubepods", "containerd", "libpod", "lxc", "crio"];

/// The place of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The machine itself, as far as it can be told.
    Machine,
    /// A container.
    Container,
    /// A network namespace of its own.
    Namespace,
}

/// Marks the rows that would say something else outside.
pub(super) fn mark(config: &Config, place: Place, report: &mut Report) {
    let Some(inside) = place.name() else { return };
    if let Some(text) = addresses(config, inside, report.names()) {
        report.see_from(Check::Configuration, text);
    }
    if has_answer(report, Check::Server) {
        report.see_from(
            Check::Server,
            format!("asked inside {inside}; outside, it depends on the published port"),
        );
    }
    if let Some(url) = &config.registration.jwks_uri
        && has_answer(report, Check::Jwks)
    {
        let text = if is_this_machine(host(url)) {
            format!(
                "{} is {inside} itself here, and another machine for the IdP",
                host(url)
            )
        } else {
            format!(
                "asked from inside {inside}; the IdP may find another address for {}",
                host(url)
            )
        };
        report.see_from(Check::Jwks, text);
    }
    let provider = &config.provider;
    let issuer = Url::parse(&provider.issuer).ok();
    let address = provider.base_url.as_ref().or(issuer.as_ref());
    if let Some(url) = address.filter(|url| is_this_machine(host(url))) {
        let text = format!(
            "{} is {inside} itself here; an IdP outside of it has another address",
            host(url)
        );
        report.see_from(Check::Discovery, text);
    }
}

/// The addresses of Redis, of services and of proxies that are this machine; `None` if none is.
fn addresses(config: &Config, inside: &str, names: &Names) -> Option<String> {
    let mut all = Vec::new();
    if let StoreKind::Redis(options) = &config.session.store {
        let redis = names.name(Knob::Redis);
        all.extend(
            options
                .loopback_hosts()
                .iter()
                .map(|host| format!("{host} in {redis}")),
        );
    }
    for proxy in config.network.proxies.all() {
        let host = host(proxy.url());
        if is_this_machine(host) {
            all.push(format!("{host} in {}", names.name(proxy.knob())));
        }
    }
    if let Ok((routes, _)) = App::routes(config) {
        let file = names.name(Knob::RoutesFile);
        for service in routes.services() {
            let host = service.authority().host();
            if is_this_machine(host) {
                all.push(format!("{host} of the service {} in {file}", clean(service.id())));
            }
        }
    }
    let verb = if all.len() == 1 { "is" } else { "are" };
    (!all.is_empty()).then(|| {
        format!(
            "{} {verb} {inside} itself here; what runs outside of it has another address",
            list(&all)
        )
    })
}

/// Whether the check has asked something.
fn has_answer(report: &Report, check: Check) -> bool {
    report.is_ok(check) || report.failed(&[check]).is_some() || check == Check::Server
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

// === impl Place ===

impl Place {
    /// Of this process.
    pub(super) fn of_process() -> Self {
        Self::at(Path::new("/"), &Environment::of_process())
    }

    /// By the signs below `root`.
    fn at(root: &Path, environment: &Environment) -> Self {
        let group = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let groups = group("proc/self/cgroup") + &group("proc/1/cgroup");
        if FILES.iter().any(|file| root.join(file).exists())
            || environment.get("KUBERNETES_SERVICE_HOST").is_some()
            || GROUPS.iter().any(|name| groups.contains(name))
        {
            return Self::Container;
        }
        let network = |process: &str| fs::read_link(root.join("proc").join(process).join("ns/net")).ok();
        match (network("self"), network("1")) {
            (Some(own), Some(first)) if own != first => Self::Namespace,
            _ => Self::Machine,
        }
    }

    /// Its name; `None` for the machine itself.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Machine => None,
            Self::Container => Some("this container"),
            Self::Namespace => Some("this network namespace"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(files: &[(&str, &str)], variables: &[&str]) -> Place {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, content).unwrap(),
            }
        }
        let variables = variables.iter().map(|name| ((*name).to_owned(), "10.0.0.1"));
        Place::at(root.path(), &variables.collect())
    }

    #[test]
    fn the_signs_of_a_container_are_known() {
        for files in [
            &[(".dockerenv", "")][..],
            &[("run/.containerenv", "engine=\"podman-5\"")],
            &[("proc/1/cgroup", "0::/kubepods.slice/kubepods-pod1.slice")],
            &[("proc/self/cgroup", "12:cpu:/docker/0123456789abcdef")],
            &[("proc/self/cgroup", "0::/machine.slice/libpod-1.scope")],
        ] {
            assert_eq!(place(files, &[]), Place::Container, "{files:?}");
        }
        assert_eq!(place(&[], &["KUBERNETES_SERVICE_HOST"]), Place::Container);
        let namespaces = |own| [("proc/self/ns/net", own), ("proc/1/ns/net", "-> net:[1]")];
        assert_eq!(place(&namespaces("-> net:[2]"), &[]), Place::Namespace);
        assert_eq!(place(&namespaces("-> net:[1]"), &[]), Place::Machine);
        let unit = [("proc/self/cgroup", "0::/system.slice/bff.service")];
        assert_eq!(place(&unit, &["HOST"]), Place::Machine);
        assert_eq!(place(&[], &[]), Place::Machine);
    }
}
