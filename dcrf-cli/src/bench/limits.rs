//! What the operating system allows: open files, and the memory of this process.

use std::fs;

use crate::failure::Failure;

/// Files that are open besides the connections.
#[cfg(unix)]
const OTHER_FILES: u64 = 50;
/// The ports for connections from one address to one server, at least on Linux.
const PORTS: u64 = 28_000;

/// Raises the limit of open files so that this many connections are possible.
///
/// # Errors
///
/// The system does not allow that many.
#[cfg(unix)]
pub(crate) fn allow_connections(connections: u64) -> Result<(), Failure> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let needed = connections + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let is_allowed = limit.maximum.is_none_or(|maximum| maximum >= needed);
    limit.current = Some(needed);
    if is_allowed && setrlimit(Resource::Nofile, limit).is_ok() {
        return Ok(());
    }
    let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(0);
    Err(Failure::usage(format!(
        "{connections} connections need {needed} open files, and the system allows {allowed}: set `ulimit -n {needed}` as \
         an administrator, or use fewer clients"
    )))
}

#[cfg(not(unix))]
pub(crate) fn allow_connections(_: u64) -> Result<(), Failure> {
    Ok(())
}

/// Why some connections will fail for want of ports, if they will.
pub(crate) fn too_few_ports(connections: u64, addresses: usize) -> Option<String> {
    let possible = PORTS * addresses.max(1) as u64;
    (connections > possible).then(|| {
        format!(
            "one address has ports for about {PORTS} connections to a server: add more of this machine's with --bind, {} \
             in all",
            connections.div_ceil(PORTS)
        )
    })
}

/// The most memory that this process has used, in bytes, if the system says so.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
