//! The peak memory of a story: everything that this process allocates, including the server's small share.

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

pub(crate) const MIB: usize = 1 << 20;

/// The memory that a client may use beyond its limits.
const OVERHEAD: usize = 8 * MIB;

/// Runs a story while no other one runs.
///
/// # Panics
///
/// If the peak exceeds the limits plus the overhead.
pub(crate) fn assert_bounded<T>(name: &str, limits: usize, story: impl FnOnce() -> T) -> T {
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = story();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    let allowed = limits + OVERHEAD;
    println!("hostile: {name}: {} KiB at the peak, {} KiB allowed", peak >> 10, allowed >> 10);
    assert!(peak <= allowed, "{name} needed {peak} bytes, but only {allowed} are allowed");
    result
}
