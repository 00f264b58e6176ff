//! Decides which web pages may send requests, and by which names requests may call this server.
//!
//! No firewall protects a listener on a loopback address from a browser on the same machine: any web page that is open
//! there can make the browser send requests to the listener. A page can also make its own name point to the loopback
//! address, and then read the answers (DNS rebinding). Such requests name the server by the page's name, or have the
//! page's origin in `Origin`.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, header};

use super::HttpOptions;
use super::problem::{Problem, ProblemKind};

/// The names and origins that are trusted, beside those of this machine itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trusted {
    /// Names by which requests may call the server, such as the name that a proxy passes on.
    pub hosts: Vec<String>,
    /// Origins of web pages, such as `https://app.example`.
    pub origins: Vec<String>,
}

impl Trusted {
    pub(super) fn of(options: &HttpOptions) -> Self {
        Trusted { hosts: options.allowed_hosts.clone(), origins: options.allowed_origins.clone() }
    }

    /// Rejects a request with `headers` if it calls this machine by a foreign name, or if a foreign web page sends it.
    /// `named` is the server that the request names. A request of HTTP/1.0 need not name one.
    pub(super) fn guard(&self, headers: &HeaderMap, named: Option<&Authority>) -> Result<(), Problem> {
        let is_named = match named.map(Authority::host) {
            None => !headers.contains_key(header::HOST),
            Some(host) => {
                is_this_machine(host)
                    || is_of_this_network(host)
                    || self.hosts.iter().any(|trusted| trusted.eq_ignore_ascii_case(host))
            }
        };
        if !is_named {
            let detail =
                "here, requests must name this machine by its address, as `localhost`, or by a name of --allowed-host";
            return Err(Problem::new(ProblemKind::Forbidden, detail));
        }
        match origin(headers) {
            None => Ok(()),
            Some(origin) if self.allows(&origin) || host_of(&origin).is_some_and(is_this_machine) => Ok(()),
            Some(_) => {
                let detail =
                    "a web page of another origin may not ask for anything here; --allowed-origin names those that may";
                Err(Problem::new(ProblemKind::Forbidden, detail))
            }
        }
    }

    /// Returns true if `origin` is in the list of trusted origins.
    pub(super) fn allows(&self, origin: &Origin) -> bool {
        self.origins.iter().filter_map(|trusted| Origin::parse(trusted)).any(|trusted| trusted == *origin)
    }
}

/// The origin of a web page: scheme, host and port (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Tuple {
        scheme: String,
        host: String,
        port: Option<u16>,
    },
    /// An origin without a name, for example of a page in a sandbox.
    Opaque,
}

impl Origin {
    /// Reads `text`, such as `https://app.example:8443`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Origin::Opaque);
        }
        let (scheme, rest) = text.split_once("://")?;
        let authority: Authority = rest.trim_end_matches('/').parse().ok()?;
        let scheme = scheme.to_ascii_lowercase();
        let port = authority.port_u16().or_else(|| default_port(&scheme));
        Some(Origin::Tuple { host: authority.host().to_ascii_lowercase(), port, scheme })
    }

    /// Returns true if this is the origin of a server that is called `host`. It accepts any scheme, because a proxy may
    /// have removed TLS.
    pub(super) fn is_of(&self, host: &str) -> bool {
        let (Origin::Tuple { scheme, host: own, port }, Ok(authority)) = (self, host.parse::<Authority>()) else {
            return false;
        };
        own.eq_ignore_ascii_case(authority.host()) && *port == authority.port_u16().or_else(|| default_port(scheme))
    }
}

/// Returns the origin of the web page that sends a request, or `None` if no browser says so.
pub(super) fn origin(headers: &HeaderMap) -> Option<Origin> {
    let origin = headers.get(header::ORIGIN)?;
    Some(origin.to_str().ok().and_then(Origin::parse).unwrap_or(Origin::Opaque))
}

/// Returns the header `Host` as text.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).map(HeaderValue::to_str)?.ok()
}

fn host_of(origin: &Origin) -> Option<&str> {
    match origin {
        Origin::Tuple { host, .. } => Some(host),
        Origin::Opaque => None,
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Returns true if `host` is a name without a domain, such as `chainhost` in a network of containers. No web page of
/// the internet has such a name.
fn is_of_this_network(host: &str) -> bool {
    !host.is_empty() && !host.contains('.')
}

/// Returns true if `host` is an IP address, or `localhost`.
fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(trusted: &Trusted, host: &str, origin: Option<&str>) -> bool {
        let origin = origin.map(|origin| (header::ORIGIN, origin.parse().unwrap()));
        let headers = origin.into_iter().chain([(header::HOST, host.parse().unwrap())]).collect();
        trusted.guard(&headers, host.parse().ok().as_ref()).is_ok()
    }

    #[test]
    fn addresses_localhost_and_names_without_a_dot_are_allowed() {
        let trusted = Trusted::default();
        for host in ["127.0.0.1:9090", "127.0.0.1", "[::1]:9090", "localhost:9090", "LOCALHOST", "x", "chainhost:80"] {
            assert!(guarded(&trusted, host, None), "{host}");
        }
        for host in ["evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!guarded(&trusted, host, None), "{host}");
        }
        assert!(trusted.guard(&HeaderMap::new(), None).is_ok());
    }

    #[test]
    fn a_foreign_page_is_refused_unless_it_is_allowed() {
        let trusted = Trusted { hosts: vec!["chain.example".into()], origins: vec!["https://App.example/".into()] };
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://app.example", "https://app.example:443"] {
            assert!(guarded(&trusted, "localhost:8080", Some(origin)), "{origin}");
        }
        for origin in ["http://evil.example", "null", "http://app.example", "https://app.example:8443", "nonsense"] {
            assert!(!guarded(&trusted, "localhost:8080", Some(origin)), "{origin}");
        }
        assert!(guarded(&trusted, "CHAIN.example:80", None));
    }

    #[test]
    fn an_origin_matches_its_server_with_and_without_default_port() {
        let is_of = |origin: &str, host: &str| Origin::parse(origin).unwrap().is_of(host);
        assert!(is_of("http://localhost:8080", "localhost:8080"));
        assert!(is_of("https://Chain.example", "chain.example"));
        assert!(is_of("https://chain.example", "chain.example:443"));
        assert!(is_of("http://chain.example:80", "chain.example"));
        for origin in ["http://evil.example", "null", "http://localhost", "http://localhost:8080.evil.example"] {
            assert!(Origin::parse(origin).is_none_or(|origin| !origin.is_of("localhost:8080")), "{origin}");
        }
    }
}
