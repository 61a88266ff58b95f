//! How much memory a story takes: all that this process allocates, the client's and the little of the server's.

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

pub(crate) const MIB: usize = 1 << 20;

/// What a client may take beside what its limits allow.
const SPARE: usize = 8 * MIB;

/// Tells a story while no other one is told.
///
/// # Panics
///
/// When at any moment it takes more than the limits allow.
pub(crate) fn bounded<T>(name: &str, limits: usize, story: impl FnOnce() -> T) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let told = story();
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    println!(
        "hostile: {name}: {} KiB at the peak, {} KiB allowed",
        taken >> 10,
        (limits + SPARE) >> 10
    );
    assert!(taken <= limits + SPARE, "{name} took {taken} bytes, and the limits are {limits}");
    told
}
