//! `wasi:sockets`, where every socket and every name is refused.
//!
//! Not wasmtime-wasi's with everything forbidden: that makes a socket of the
//! operating system before it refuses to use it.

use isorun_runtime::HostState;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, Val};

/// The interfaces of the package.
pub(crate) const INTERFACES: &[&str] =
    &["network", "instance-network", "tcp", "tcp-create-socket", "udp", "udp-create-socket", "ip-name-lookup"];

/// Defines every function, as of `version`.
pub(crate) fn install(linker: &mut Linker<HostState>, version: &str) -> wasmtime::Result<()> {
    let mut network = linker.instance(&format!("wasi:sockets/network@{version}"))?;
    network.resource("network", ResourceType::host::<Network>(), |_, _| Ok(()))?;

    let mut instance = linker.instance(&format!("wasi:sockets/instance-network@{version}"))?;
    instance.func_wrap("instance-network", |_: StoreContextMut<'_, HostState>, (): ()| {
        Ok((Resource::<Network>::new_own(0),))
    })?;

    for (interface, function) in REFUSED {
        refuse(&mut linker.instance(&format!("wasi:sockets/{interface}@{version}"))?, function)?;
    }
    for (interface, resource, methods) in NEVER_MADE {
        let mut interface = linker.instance(&format!("wasi:sockets/{interface}@{version}"))?;
        interface.resource(resource, ResourceType::host::<NeverMade>(), |_, _| Ok(()))?;
        for method in *methods {
            // The engine has checked the handle before this is called, and there is none.
            interface.func_new(&format!("[method]{resource}.{method}"), move |_, _, _, _| {
                Err(wasmtime::Error::msg(format!("{method} of a {resource}, and none was ever made")))
            })?;
        }
    }
    Ok(())
}

/// Defines a function that always answers `access-denied`.
fn refuse(interface: &mut LinkerInstance<'_, HostState>, function: &str) -> wasmtime::Result<()> {
    interface.func_new(function, |_, _, _, results| {
        if let [result] = results {
            *result = Val::Result(Err(Some(Box::new(Val::Enum("access-denied".into())))));
        }
        Ok(())
    })
}

/// What guests name when they ask for a socket; there is nothing in it.
struct Network;

/// What is behind handles that no guest ever gets.
struct NeverMade;

/// The functions that would make something.
const REFUSED: &[(&str, &str)] = &[
    ("tcp-create-socket", "create-tcp-socket"),
    ("udp-create-socket", "create-udp-socket"),
    ("ip-name-lookup", "resolve-addresses"),
];

/// By interface, the resources that they would make, and their methods.
const NEVER_MADE: &[(&str, &str, &[&str])] = &[
    ("ip-name-lookup", "resolve-address-stream", &["resolve-next-address", "subscribe"]),
    ("tcp", "tcp-socket", TCP_SOCKET),
    ("udp", "udp-socket", UDP_SOCKET),
    ("udp", "incoming-datagram-stream", &["receive", "subscribe"]),
    ("udp", "outgoing-datagram-stream", &["check-send", "send", "subscribe"]),
];

const TCP_SOCKET: &[&str] = &[
    "start-bind",
    "finish-bind",
    "start-connect",
    "finish-connect",
    "start-listen",
    "finish-listen",
    "accept",
    "local-address",
    "remote-address",
    "is-listening",
    "address-family",
    "set-listen-backlog-size",
    "keep-alive-enabled",
    "set-keep-alive-enabled",
    "keep-alive-idle-time",
    "set-keep-alive-idle-time",
    "keep-alive-interval",
    "set-keep-alive-interval",
    "keep-alive-count",
    "set-keep-alive-count",
    "hop-limit",
    "set-hop-limit",
    "receive-buffer-size",
    "set-receive-buffer-size",
    "send-buffer-size",
    "set-send-buffer-size",
    "subscribe",
    "shutdown",
];

const UDP_SOCKET: &[&str] = &[
    "start-bind",
    "finish-bind",
    "stream",
    "local-address",
    "remote-address",
    "address-family",
    "unicast-hop-limit",
    "set-unicast-hop-limit",
    "receive-buffer-size",
    "set-receive-buffer-size",
    "send-buffer-size",
    "set-send-buffer-size",
    "subscribe",
];
