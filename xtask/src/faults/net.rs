//! Two hosts and a router between them, each a network namespace.

use std::process::Command;

use crate::Outcome;

/// The host that serves.
pub const FAR: &str = "10.178.0.1";
const NEAR: &str = "10.177.0.1";

/// The router, as each of the two sees it.
const ROUTER_NEAR: &str = "10.177.0.254";
const ROUTER_FAR: &str = "10.178.0.254";

/// Named by this process, so that two may run at once.
pub struct Net {
    pub near: String,
    pub far: String,
    router: String,
}

impl Net {
    /// Lays the cables; an error says what the system would not do.
    pub fn lay() -> Outcome<Self> {
        let name = |role: &str| format!("isorun-{role}-{}", std::process::id());
        // From here on it is taken away again.
        let net = Self { near: name("near"), far: name("far"), router: name("router") };
        for namespace in net.namespaces() {
            ip(&["netns", "add", namespace])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        for (host, port, address, gateway) in
            [(&net.near, "near", NEAR, ROUTER_NEAR), (&net.far, "far", FAR, ROUTER_FAR)]
        {
            ip(&["-n", host, "link", "add", "cable", "type", "veth", "peer", "name", port, "netns", &net.router])?;
            for (namespace, device, address) in [(host, "cable", address), (&net.router, port, gateway)] {
                ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", device])?;
                ip(&["-n", namespace, "link", "set", device, "up"])?;
            }
            ip(&["-n", host, "route", "add", "default", "via", gateway])?;
        }
        ip(&["netns", "exec", &net.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        Ok(net)
    }

    /// Has the router drop every packet between the two, and tell nobody; or has it route them again.
    pub fn parted(&self, parted: bool) -> Outcome {
        let verb = if parted { "add" } else { "delete" };
        for address in [NEAR, FAR] {
            ip(&["-n", &self.router, "route", verb, "blackhole", &format!("{address}/32")])?;
        }
        Ok(())
    }

    /// Has the router do this to every packet, each way.
    pub fn netem(&self, verb: &str, what: &[&str]) -> Outcome {
        for port in ["near", "far"] {
            let start = ["-n", self.router.as_str(), "qdisc", verb, "dev", port, "root", "netem"];
            said("tc", &[&start, what].concat())?;
        }
        Ok(())
    }

    fn namespaces(&self) -> [&str; 3] {
        [&self.near, &self.far, &self.router]
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for namespace in self.namespaces() {
            let _ = ip(&["netns", "delete", namespace]);
        }
    }
}

fn ip(args: &[&str]) -> Outcome {
    said("ip", args)
}

/// Runs a command quietly; its own words if it fails.
pub fn said(program: &str, args: &[&str]) -> Outcome {
    let done = Command::new(program).args(args).output().map_err(|e| format!("`{program}`: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&done.stderr);
    Err(format!("`{program} {}`: {}", args.join(" "), words.trim().replace('\n', "; ")))
}
